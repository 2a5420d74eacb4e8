"""Figure of the flow of signals through the networks of a suite, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.models.diagnosis.cells import CellDiagnosis
from benchmarks.report.formatting import short
from benchmarks.report.plots.common import STROKES

MOST_NAMED = 2 * len(STROKES)
"""Cells of a dataset that are told apart; further ones are thin lines."""

_GREY = "#9a9b9c"


def write_figure(path: Path, diagnoses: Sequence[CellDiagnosis]) -> None:
    """Draw gradients and outputs layer by layer, a column a dataset, a line a cell; the path's ending is the format."""
    datasets = list(dict.fromkeys(each.cell.dataset for each in diagnoses))
    by_dataset = {name: [each for each in diagnoses if each.cell.dataset == name] for name in datasets}
    figure = Figure(figsize=(5.2 * len(datasets), 6.4), layout="constrained")
    panels = figure.subplots(2, len(datasets), squeeze=False, sharex="col")
    for column, (dataset, of_dataset) in enumerate(by_dataset.items()):
        gradients, outputs = panels[0][column], panels[1][column]
        for number, diagnosis in enumerate(of_dataset):
            layers = diagnosis.signal.layers
            _line(gradients, number, diagnosis, [layer.gradient_norm for layer in layers])
            _line(outputs, number, diagnosis, [layer.output_deviation for layer in layers])
        gradients.set_title(f"{dataset}: gradient of the loss by a layer's outputs, length", fontsize=10, loc="left")
        outputs.set_title("outputs of a layer, standard deviation", fontsize=10, loc="left")
        outputs.set_xlabel("layer of weights, from the inputs on")
        for axes in (gradients, outputs):
            axes.set_yscale("log")
            axes.grid(visible=True, linewidth=0.5, color="#d9dadb")
            axes.spines[["top", "right"]].set_visible(False)
    further = max(len(of_dataset) for of_dataset in by_dataset.values()) - MOST_NAMED
    figure.legend(
        *panels[0][0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(datasets),
        fontsize=8,
        frameon=False,
        title=f"and {further} more in grey" if further > 0 else None,
    )
    figure.savefig(
        path, dpi=150, bbox_inches="tight", metadata={"Date": None} if path.suffix.lower() == ".svg" else None
    )


def _line(axes: Axes, number: int, diagnosis: CellDiagnosis, values: Sequence[float]) -> None:
    places = range(1, len(values) + 1)
    if number >= MOST_NAMED:
        axes.plot(places, values, color=_GREY, linewidth=0.6)
        return
    stroke = STROKES[number % len(STROKES)]
    axes.plot(
        places,
        values,
        stroke.dashes,
        color=stroke.colour,
        marker=stroke.marker,
        markersize=3.5,
        markerfacecolor=stroke.colour if stroke.is_filled else "none",
        linewidth=1.2 if number < len(STROKES) else 0.6,
        label=short(diagnosis.cell.title or "the only cell", 60),
    )
