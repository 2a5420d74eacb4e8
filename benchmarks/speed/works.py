"""Works that are measured: suites, and how many of their runs the peers train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.catalog import DatasetReference, find_dataset
from benchmarks.errors import UserError
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.runs import Run
from benchmarks.suite.reading import parse_suite
from zoo.settings import Problem, nearest


@dataclass(frozen=True)
class Work:
    """What is measured: a suite, and how many of its runs the slow sides train."""

    summary: str
    suite: str
    peer_runs: int
    """A peer's time a run hardly varies, so some of the runs tell it."""


_DIGITS = """
name = "speed_digits"
datasets = ["digits"]
seeds = 5
model = { variant = "mlp_small", normalization = "batch", dropout = 0.1 }
train = { epochs = 30, batch_size = 64, optimizer = "adam", learning_rate = 1e-3 }
data = { standardize = "per_feature", validation_fraction = 0.1 }
[factors]
"model.activation" = ["relu", "tanh", "elu", "gelu"]
"model.initializer" = ["glorot_uniform", "he_normal"]
"""

_MNIST = """
name = "speed_mnist"
datasets = ["mnist"]
seeds = 3
model = { variant = "mlp_small", width = 128 }
train = { epochs = 5, batch_size = 128, optimizer = "adam", learning_rate = 1e-3 }
data = { standardize = "per_feature", validation_fraction = 0.1 }
[factors]
"model.initializer" = ["glorot_uniform", "he_normal"]
"""

_SHAPES = """
name = "speed_shapes"
datasets = ["shapes"]
seeds = 1
model = { variant = "resnet8" }
train = { epochs = 2, batch_size = 128, optimizer = "momentum", learning_rate = 0.05 }
data = { standardize = "per_channel", validation_fraction = 0.04 }
[factors]
"model.initializer" = ["glorot_uniform", "he_normal"]
"""

WORKS: dict[str, Work] = {
    "digits": Work("perceptrons 64-64 with batch normalization and dropout, 30 epochs", _DIGITS, 4),
    "mnist": Work("perceptrons 128-128, 5 epochs", _MNIST, 2),
    "shapes": Work("resnet8 on 7,680 images of 32x32 pixels, 2 epochs", _SHAPES, 1),
}
"""What `ablate speed` can measure."""


def runs_of(work: str, data_dir: Path, runs_dir: Path) -> tuple[list[Run], DatasetReference]:
    """The runs of a work, and its dataset.

    Raises:
        UserError: no such work, or no such dataset.
    """
    if work not in WORKS:
        message = "nothing of this name to measure"
        raise UserError(str(Problem("WORK", message, work, ", ".join(WORKS), nearest(work, WORKS))))
    suite = parse_suite(WORKS[work].suite, work)
    reference = find_dataset(suite.datasets[0], data_dir, runs_dir)
    return expand_runs(expand_cells(suite), suite.seed_list, {suite.datasets[0]: reference.version}), reference


def peer_runs_of(work: str, runs: list[Run]) -> list[Run]:
    """The runs that the peers train too, spread over all."""
    return runs[:: len(runs) // WORKS[work].peer_runs]
