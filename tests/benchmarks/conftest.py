"""What several test files of the benchmarks need."""

from __future__ import annotations

import pytest
from hypothesis import settings

from benchmarks.design import expand_cells, expand_runs
from benchmarks.settings import settings_from
from benchmarks.suite import Suite

# How long an example takes says nothing of the code on a machine that does other things besides.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

ISSUE_SUITE = """
name = "activations"
question = "Which activation and initializer train best?"
datasets = ["digits"]
seeds = 5                      # 0..4, or a list
design = "factorial"           # or "one_factor": the baseline, and each other level alone

[model]
variant = "mlp_small"          # other keys override its settings
dropout = 0.1

[train]
epochs = 30
batch_size = 64
optimizer = "adam"
learning_rate = 1e-3

[data]
standardize = "per_feature"
validation_fraction = 0.1

[factors]
"model.activation" = ["relu", "tanh", "elu", "gelu"]
"model.initializer" = ["glorot_uniform", "he_normal"]

[baseline]
"model.activation" = "relu"
"model.initializer" = "he_normal"
"""

SMALL_SUITE = {
    "name": "small",
    "datasets": ["digits"],
    "seeds": 2,
    "model": {"variant": "mlp_small"},
    "factors": {"model.activation": ["relu", "tanh"]},
}


@pytest.fixture(scope="session")
def issue_suite():
    """The text of the suite that the project was asked to run as it stands."""
    return ISSUE_SUITE


@pytest.fixture(scope="session")
def embedded(tmp_path_factory):
    """Give a function that prepares an embedded dataset and reads it."""
    # TensorFlow Datasets takes seconds to import, and most files here do without.
    from benchmarks.data.catalog import find_dataset
    from benchmarks.data.loading import load, prepare

    folder = tmp_path_factory.mktemp("embedded")

    def read(name):
        reference = find_dataset(name, folder / "none", folder)
        prepare(reference)
        return load(reference)

    return read


@pytest.fixture(scope="session")
def diabetes(embedded):
    """A regression in memory: 354 training examples of 10 numbers."""
    return embedded("diabetes")


@pytest.fixture(scope="session")
def breast_cancer(embedded):
    """A binary classification in memory: 456 training examples of 30 numbers."""
    return embedded("breast_cancer")


@pytest.fixture(scope="session")
def suite_of():
    """Give a function that makes a suite from a small valid one by replacing top-level keys."""
    return lambda **changes: Suite(**(SMALL_SUITE | changes))


@pytest.fixture(scope="session")
def settings_of():
    """Give a function that makes the settings of a run from dotted paths, for `mlp_small` unless a variant is named."""
    return lambda changes=(): settings_from({"model.variant": "mlp_small"} | dict(changes))


@pytest.fixture(scope="session")
def runs_of(suite_of):
    """Give a function that expands the small suite with so many seeds to two runs each, of `digits` 1.0.0."""

    def expand(num_seeds, **changes):
        suite = suite_of(seeds=num_seeds, **changes)
        return expand_runs(expand_cells(suite), suite.seed_list, dict.fromkeys(suite.datasets, "1.0.0"))

    return expand
