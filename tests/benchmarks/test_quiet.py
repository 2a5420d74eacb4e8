"""What is said and done to TensorFlow where it is imported."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks.tensorflow_start import _set_up_gpus


@pytest.mark.parametrize(
    ("gpus", "workers", "taken"),
    [
        ([], range(3), [None, None, None]),
        (["a"], range(3), ["a", "a", "a"]),
        (["a", "b"], range(5), ["a", "b", "a", "b", "a"]),
        (["a", "b"], [None], [None]),
    ],
)
def test_workers_set_up_gpus(gpus, workers, taken):
    """No process takes the memory of a GPU as a whole, and workers have the GPUs in turn; one alone sees all.

    Where there are any, what is computed on them is the same each time.
    """
    for worker, expected in zip(workers, taken, strict=True):
        grown, visible, made_deterministic = {}, {"GPU": None}, []
        config = SimpleNamespace(
            experimental=SimpleNamespace(
                set_memory_growth=grown.__setitem__,
                enable_op_determinism=lambda made=made_deterministic: made.append(True),
            ),
            set_visible_devices=lambda device, kind, visible=visible: visible.__setitem__(kind, device),
        )
        _set_up_gpus(config, gpus, worker)
        assert grown == dict.fromkeys(gpus, True)
        assert visible == {"GPU": expected}
        assert bool(made_deterministic) == bool(gpus)
