"""The benchmark runner: a suite of ablations, trained on TFDS datasets, stored run by run, reported with intervals.

The command `ablate` runs suites. What Python code asks of the results is here; all other modules are internal.

    results = benchmarks.load_results("runs", "quickstart")     # a tidy table of pandas, one row a run
    network = benchmarks.load_network("4c6a")                   # a finished run's keras.Model, fed raw inputs
    together = benchmarks.load_ensemble(["4c6a", "b81d"])       # one that averages what several runs give
    checks = benchmarks.check_gradients(model, inputs, loss, seed=0)    # of any Keras model, in double precision
    signal = benchmarks.measure_signal(model, inputs, loss)     # how far outputs and gradients get, layer by layer

Models themselves come from `zoo`, search spaces and Keras Tuner's hypermodels from `tuning`.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.analysis.loading import load_results
    from benchmarks.errors import DatasetError, StoreError, UserError
    from benchmarks.models.diagnosis.gradients import check_gradients
    from benchmarks.models.diagnosis.signals import measure_signal
    from benchmarks.models.export import OtherResults, load_ensemble, load_network

__all__ = [
    "DatasetError",
    "OtherResults",
    "StoreError",
    "UserError",
    "check_gradients",
    "load_ensemble",
    "load_network",
    "load_results",
    "measure_signal",
]

# Pandas takes half a second to import and TensorFlow some, and most who import this package do without. The command
# begins with this file: the less there is of it, the sooner Ctrl-C ends it with a line.
_PLACES = {
    **dict.fromkeys(("DatasetError", "StoreError", "UserError"), "benchmarks.errors"),
    "load_results": "benchmarks.analysis.loading",
    "load_network": "benchmarks.models.export",
    "load_ensemble": "benchmarks.models.export",
    "OtherResults": "benchmarks.models.export",
    "check_gradients": "benchmarks.models.diagnosis.gradients",
    "measure_signal": "benchmarks.models.diagnosis.signals",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    # With name and object, Python tells the nearest name.
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return __all__
