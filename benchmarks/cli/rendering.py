"""Rendering of what the command line writes to a terminal or a pipe. Nothing heavy is imported here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from benchmarks.labels import with_levels

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from benchmarks.cli.reference import SettingFacts
    from benchmarks.models.profiling import Profile
    from benchmarks.plan.ledger import Log
    from zoo import ModelConfig

WIDE = 100
"""Columns from which on the settings of a model are one table."""

UNBROKEN = 1_000
"""Columns that no line of a table needs."""


def model_table(names: list[str]) -> Any:
    """Models with their sizes, one a line."""
    import zoo
    from benchmarks.cli.reference import short_count

    rows = []
    for name in names:
        variant = zoo.VARIANTS[name]
        paper = _text(variant.source)
        paper.no_wrap, paper.overflow = True, "ellipsis"
        sizes = {"parameters": short_count(variant.parameters), "MACs": short_count(variant.macs)}
        rows.append({"name": name, **sizes, "paper": paper})
    return row_table(rows, right=("parameters", "MACs"))


def print_model(console: Console, name: str) -> None:
    """All of one model: what it is, then every setting with its value."""
    from rich.padding import Padding

    import zoo
    from benchmarks.cli.reference import facts_of, shape_text, value_text

    variant = zoo.VARIANTS[name]
    console.print(_text(f"{name}: {variant.summary}", "bold"))
    about = {
        "paper": variant.source,
        "input": f"{shape_text(variant.input_shape)}, {variant.num_classes} classes",
        "parameters": f"{variant.parameters:,}",
        "MACs": f"{variant.macs:,}",
        "published": variant.published or "-",
        "family": variant.config.family,
    }
    console.print(_pairs(about))
    console.print()
    rows = []
    for facts in facts_of(type(variant.config)).values():
        value = getattr(variant.config, facts.name)
        is_default = value == facts.default
        style, mark = ("", "") if is_default else ("bold", " *")
        meaning = _meaning(facts, is_default=is_default)
        if console.width >= WIDE:
            told = _text(value_text(value) + mark, style)
            rows.append({"setting": _text(facts.name, style), "value": told, "meaning": meaning})
        else:
            console.print(_text(f" {facts.name} = {value_text(value)}{mark}", style))
            console.print(Padding(meaning, (0, 0, 0, 5)))
    console.print(row_table(rows) if rows else "")


def _meaning(facts: SettingFacts, *, is_default: bool) -> Text:
    """What a setting does, which values it takes and when it has an effect, as sentences."""
    from benchmarks.cli.reference import MOST_NAMES_IN_A_CELL, value_text

    names = facts.choices.table if facts.choices else ()
    allowed = f"one of {len(names)} names below" if len(names) > MOST_NAMES_IN_A_CELL else facts.allowed
    text = _text(facts.explanation).append(f" Allowed: {allowed}.", "dim")
    for need in facts.needs:
        text.append(f" {need.told()}", "dim")
    return text if is_default else text.append(f" * The family's default is {value_text(facts.default)}.")


def print_log(console: Console, log: Log) -> None:
    """How a run went: what is known in a line each, then its last epochs and the traceback."""
    from benchmarks.plan.ledger import STATUSES, words

    stored = log.stored
    facts = {
        "status": f"{words(log.status)}: {STATUSES[log.status]}",
        "reason": stored.message if stored else None,
        "dataset": log.dataset,
        "seed": str(log.seed),
        "suites": ", ".join(log.suites) or "none: a trial of a search, or of a suite that was changed since",
        "attempts": str(stored.attempts) if stored else "0",
        "seconds": f"{stored.seconds:.3g}" if stored else None,
        "ended": stored.finished_at if stored else None,
        "metrics": ", ".join(f"{name} {value:.6g}" for name, value in stored.metrics.items()) if stored else None,
        "machine": ", ".join(f"{name} {value}" for name, value in log.machine.items()),
    }
    facts = with_levels(facts, log.levels)
    say(f"run {log.key}")
    width = max(map(len, facts)) + 2
    for name, text in facts.items():
        if text:
            say(f"{name:{width}}{text}")
    if log.epochs:
        rows = [{name: _followed(value) for name, value in epoch.items()} for epoch in log.epochs]
        console.print(row_table(rows))
    if stored and stored.traceback:
        say(stored.traceback.rstrip())


def _followed(value: float | None) -> int | str | None:
    return value if value is None or isinstance(value, int) else f"{value:.6g}"


def print_choices(console: Console, configs: list[ModelConfig]) -> None:
    """Every table of named choices that the configs take from, once."""
    from benchmarks.cli.reference import choice_tables, facts_of, row_texts

    families = dict.fromkeys(map(type, configs))
    used = {id(facts.choices.table) for each in families for facts in facts_of(each).values() if facts.choices}
    for table in choice_tables():
        if id(table.rows) not in used:
            continue
        console.print(_text(table.title, "bold"))
        meanings = {}
        for name, row in table.rows.items():
            texts = row_texts(row)
            source = texts.pop("source", "-")
            meanings[name] = _text("; ".join(texts.values())).append("" if source == "-" else f" ({source})", "dim")
        console.print(_pairs(meanings))
        console.print()


def print_profiles(rows: list[Profile], repeats: int, facts: dict[str, Any]) -> None:
    """What models cost, as tables with what they mean."""
    from benchmarks.cli.reference import shape_text, short_count, value_text

    console = make_wide_console()
    about = [
        {
            "model": row.model,
            "input": shape_text(row.input_shape),
            "parameters": short_count(row.parameters),
            "MACs": short_count(row.macs),
            "build": f"{row.build_seconds:.2f} s",
        }
        for row in {row.model: row for row in rows}.values()
    ]
    training, inference = ([_pace_row(row, kind) for row in rows] for kind in ("training", "inference"))
    for title, shown in ((None, about), ("training", training), ("inference", inference)):
        table = row_table(shown, right=[name for name in shown[0] if name not in ("model", "input")])
        table.title, table.title_justify, table.title_style = title, "left", "bold"
        table.show_edge = table.pad_edge = False
        console.print(table)
        console.print()
    if rows[0].changes:
        say("settings  " + ", ".join(f"{name} = {value_text(value)}" for name, value in rows[0].changes.items()))
    say(f"timed     {repeats} calls, after warming up: median (lower - upper quartile); first: the first call, traced")
    say("memory    all layers' outputs for the batch, as they are kept for the backward pass")
    say("machine   " + ", ".join(f"{name} {value}" for name, value in facts.items()))


def _pace_row(row: Profile, kind: str) -> dict[str, Any]:
    """What training, or inference, took."""
    from benchmarks.cli.reference import short_memory

    pace = row.training if kind == "training" else row.inference
    median, lower, upper = (_digits(1e3 * seconds) for seconds in (pace.median, *pace.quartiles))
    return {
        "model": row.model,
        "batch": row.batch_size,
        **({"memory": short_memory(row.activation_bytes)} if kind == "training" else {}),
        "first": f"{pace.first_call_seconds:.2f} s",
        "images/s": _digits(row.images_per_second(pace)),
        "ms a batch": f"{median} ({lower} - {upper})",
    }


def _digits(number: float) -> str:
    """A number with three digits, or all that stand before its point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _text(text: str, style: str = "") -> Text:
    """Text that is never taken for markup."""
    from rich.text import Text

    return Text(text, style)


def _pairs(meanings: Mapping[str, str | Text]) -> Any:
    """Names and what they mean, without a head."""
    table = row_table([{"name": name, "meaning": meaning} for name, meaning in meanings.items()])
    table.show_header, table.box = False, None
    return table


def row_table(rows: Sequence[Mapping[str, Any]], right: Container[str] = ()) -> Any:
    """A table of rows that have the same names; numbers, and the columns of these names, are set flush right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name in rows[0]:
        # The path of a setting stays as it is written in a suite.
        header = name if "." in name else name.replace("_", " ")
        is_right = name in right or any(isinstance(row[name], int) for row in rows)
        table.add_column(Text(header), overflow="fold", justify="right" if is_right else "left")
    for row in rows:
        cells = ("-" if value is None else value for value in row.values())
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells))
    return table


def make_console(*, to_error: bool = False) -> Console:
    """The terminal, or a pipe; messages of a command that prints JSON go to standard error."""
    from rich.console import Console

    class PatientConsole(Console):
        """Goes on in silence when nobody reads any more: a training must not end with `| head`."""

        def on_broken_pipe(self) -> None:
            _silence(self.file)

    return PatientConsole(stderr=to_error)


def make_wide_console() -> Console:
    """A console for rows: who reads a pipe wants one line a row."""
    console = make_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBROKEN
    return console


def print_json(value: object) -> None:
    """Print JSON for a program to read; it knows no number that is not finite, so those are null."""
    from benchmarks.analysis.plain import as_plain

    say(json.dumps(as_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def say(text: str) -> None:
    """Print a line as it is, in silence where nobody reads any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _silence(sys.stdout)


def tell(console: Console, text: str, style: str | None = None) -> None:
    """Print a line to a console as it is: what looks like markup is none, and nothing of it is broken or coloured."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True, emoji=False)


def _silence(stream: IO[str]) -> None:
    """Let further output of a stream go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def path_text(changes: Iterable[tuple[str, str]]) -> str:
    """The changes along a path that was found, in words."""
    told = ", then ".join(f"{factor} = {level}" for factor, level in changes)
    return told or "no change made the baseline better"


def phases_text(totals: Mapping[str, float], seconds: float) -> str:
    """Seconds of each phase of a training and what it is, the most first, then the rest and the whole."""
    from benchmarks.training.stopwatch import PHASES

    rows = [(name, spent, PHASES.get(name, "")) for name, spent in sorted(totals.items(), key=lambda each: -each[1])]
    rows.append(("rest", seconds - sum(totals.values()), "importing TensorFlow, reading data, the store, all else"))
    rows.append(("whole", seconds, ""))
    lines = [f"{'phase':12}{'seconds':>10}{'share':>8}"]
    for name, spent, meaning in rows:
        lines.append(f"{name:12}{spent:10.3f}{100 * spent / seconds:7.1f}%  {meaning}".rstrip())
    return "\n".join(lines)


def describe(counts: Mapping[str, int]) -> str:
    """How many runs have ended how: "3 done, 1 failed"."""
    return ", ".join(
        f"{number} {status.replace('_', ' ')}" for status, number in counts.items() if number or status == "done"
    )
