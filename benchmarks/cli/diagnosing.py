"""`ablate diagnose`: networks before they are trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.cli.arguments import DONE, RUNS_DIR, SOME_FAILED, AsJson, DataDir, RunsDir, SuiteArgument, check_picture
from benchmarks.cli.finding import plan_of
from benchmarks.cli.rendering import make_console, make_wide_console, print_json, row_table, say
from benchmarks.errors import UserError, naming_file
from benchmarks.labels import with_levels

if TYPE_CHECKING:
    from benchmarks.models.diagnosis.cells import CellDiagnosis
    from benchmarks.runs import Cell

PICTURES = (".png", ".svg", ".pdf")
"""Endings of files that --show writes."""


def diagnose(
    suite: SuiteArgument,
    runs_dir: RunsDir = RUNS_DIR,
    data_dir: DataDir = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="FACTOR=LEVEL", help="Only cells with this level; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of weights and batch; by default the suite's first.")] = None,
    overfit: Annotated[
        int, typer.Option(min=0, max=100_000, metavar="STEPS", help="Train each network so long on its one batch.")
    ] = 0,
    show: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw gradients and outputs by layer: .png, .svg or .pdf.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Diagnose the new network of each cell on one batch: gradients checked and followed, first loss, idle units.

    Each gradient is compared with difference quotients in double precision. Exit code: 0 all gradients are right, 1 one
    is wrong or something is not finite, 2 the suite or the call is wrong.
    """
    if show:
        check_picture(show, PICTURES, f"a file in an existing folder that ends in {', '.join(PICTURES)}")
    plan = plan_of(suite, runs_dir, "", data_dir, None)
    cells = _chosen(plan.cells, where or [])
    console = make_console(to_error=True)
    found: list[CellDiagnosis] = []
    with console.status("importing TensorFlow") as now:
        from benchmarks.tensorflow_start import import_for_training

        import_for_training()
        from benchmarks.data.loading import load
        from benchmarks.data.preparing import prepare
        from benchmarks.models.diagnosis.cells import diagnose as diagnose_cells

        datasets = {}
        for name in dict.fromkeys(cell.dataset for cell in cells):
            now.update(f"reading {name}")
            prepare(plan.references[name])
            datasets[name] = load(plan.references[name])
        with naming_file(plan.path):
            for each in diagnose_cells(cells, datasets, plan.seeds[0] if seed is None else seed, overfit):
                found.append(each)
                now.update(f"{len(found)} of {len(cells)} networks seen")
    if as_json:
        print_json([each.as_json() for each in found])
    else:
        _tell(found)
    if show:
        _draw(found, show)
        if not as_json:
            say(f"wrote {show}")
    raise typer.Exit(DONE if all(each.is_sound for each in found) else SOME_FAILED)


def _chosen(cells: list[Cell], where: list[str]) -> list[Cell]:
    """The cells that have all these levels."""
    from zoo.settings import Problem, SettingError, unknown

    for given in where:
        factor, sign, level = given.partition("=")
        factors = {name: None for cell in cells for name in cell.levels}
        if not sign:
            raise SettingError([Problem("--where", "no factor with a level", given, "FACTOR=LEVEL")])
        if factor not in factors:
            raise SettingError([unknown("--where", "factor", factor, factors)])
        levels = {cell.levels[factor]: None for cell in cells if factor in cell.levels}
        if level not in levels:
            raise SettingError([unknown("--where", f"level of {factor}", level, levels)])
        cells = [cell for cell in cells if cell.levels.get(factor) == level]
    return cells


def _draw(found: list[CellDiagnosis], show: Path) -> None:
    from benchmarks.models.diagnosis.figure import write_figure

    try:
        write_figure(show, found)
    except OSError as error:
        raise UserError(f"{show}: cannot be written: {error.strerror}") from None


def _tell(found: list[CellDiagnosis]) -> None:
    make_wide_console().print(row_table([_row(each) for each in found]))
    for each in found:
        for finding in each.findings:
            say(f"{each.cell.dataset}{f', {each.cell.title}' if each.cell.title else ''}: {finding}")


def _row(each: CellDiagnosis) -> dict[str, Any]:
    signal, worst = each.signal, each.worst_check
    after = {} if each.loss_after_steps is None else {f"after {each.steps} steps": f"{each.loss_after_steps:.3g}"}
    row = {
        "dataset": each.cell.dataset,
        "first loss": f"{signal.loss:.3g}",
        "of zeros": f"{each.loss_of_zeros:.3g}",
        **after,
        "gradient at first layer": f"{signal.gradient_ratio:.1e} of last, {signal.finding}",
        "idle units": f"{signal.idle_units:.0%}",
        "gradient check": f"{'right' if worst.is_right else 'WRONG'}, {worst.relative_error:.0e}",
    }
    return with_levels(row, each.cell.levels)
