"""The benchmark runner: a suite of ablations, trained on TFDS datasets, stored run by run, reported with intervals.

`benchmarks.load_results("runs")` gives the results of a runs folder as a table of pandas, for notebooks.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.analysis.loading import load_results

__all__ = ["load_results"]


def __getattr__(name: str) -> Any:
    # Pandas takes half a second to import, and most who import this package do without.
    if name == "load_results":
        from benchmarks.analysis.loading import load_results

        return load_results
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
