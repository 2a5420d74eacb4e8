"""The blocks that a section of a report is made of. They say what they mean; `benchmarks.report.render` sets them.

Text is plain text, or a tuple of parts: plain ones, `Code`, `Strong`, `Index`, `Tag` and `Word`. Nothing in it is
markup, so a name or message of a user does nothing in any format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from markupsafe import Markup

Item = TypeVar("Item")


@dataclass(frozen=True)
class Code:
    """What is typed: the name of a file, a key, a command."""

    text: str


@dataclass(frozen=True)
class Strong:
    """What its line is about."""

    text: str


@dataclass(frozen=True)
class Index:
    """A symbol with its index."""

    symbol: str
    index: str


@dataclass(frozen=True)
class Tag:
    """A mark behind what it is of, such as: baseline."""

    text: str
    warns: bool = False


@dataclass(frozen=True)
class Word:
    """The first word of a verdict, or "exploratory"."""

    text: str


Part = str | Code | Strong | Index | Tag | Word
Text = str | tuple[Part, ...]


@dataclass(frozen=True)
class Number:
    """A number of a table: a file for programs has its value, and a reader its text."""

    value: float | None
    text: str


@dataclass(frozen=True)
class Spanning:
    """Text of a cell that covers the next ones too, which are `COVERED`."""

    text: Text
    columns: int


COVERED = Spanning("", 0)

Cell = Text | Number | Spanning | float | bool | None
"""A whole number is written with spaces between thousands; a float without a style of its own is for files alone."""


@dataclass(frozen=True)
class Column(Generic[Item]):
    """A column of a table."""

    head: Text
    cell: Callable[[Item], Cell]
    """Item of a row -> what stands there."""
    is_number: bool = False
    """Whether it is set to the right."""
    wraps: Literal["never", "words", "sentences"] = "never"
    """Between what its text may go on to another line."""
    is_level: bool = False
    """Whether it has the levels of a factor: in a file its name gives way where another column has it."""
    name: str | None = None
    """In a file for programs; its head where it has none."""


Mark = Literal["baseline", "check", "continued", "continuation"]
"""What a row is: of the baseline; a check of the row before; followed by a second line of the same; that line."""


@dataclass(frozen=True)
class Table(Generic[Item]):
    """A table: one on the pages, or one in a file of its own, or both."""

    title: str
    """What it is of."""
    columns: Sequence[Column[Item]]
    rows: Sequence[Item]
    caption: Text = ""
    marks: Callable[[Item], Sequence[Mark]] | None = None
    """Item -> what its row is."""
    group: Callable[[Item], Text] | None = None
    """Item -> the head that its row stands under, with its neighbours of the same."""
    group_head: str = ""
    files: tuple[str, ...] = ()
    """Its files, of kinds out of `benchmarks.report.render.FILES`."""
    is_on_pages: bool = True
    note: str = ""
    """Of a file: how to read it."""


@dataclass(frozen=True)
class Paragraph:
    """Prose; where its text is empty, nothing."""

    text: Text
    kind: Literal["prose", "caption", "verdict"] = "prose"


@dataclass(frozen=True)
class Heading:
    """Of a part of a section: level 3, or 4 below it."""

    text: Text
    level: int = 3


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[Text, ...]


@dataclass(frozen=True)
class Facts:
    """Names with what is said of each."""

    items: tuple[tuple[str, Text], ...]
    are_many: bool = False
    """Whether they are looked up and not read, and so can stand in columns."""


@dataclass(frozen=True)
class Source:
    """A file as it is."""

    text: str
    language: str


@dataclass(frozen=True)
class Plot:
    """A figure that answers one question."""

    title: Text
    """The question, or what it is of where a text above has the question."""
    svg: Markup
    note: str = ""
    """How it is to be read, and what is left out or put together in it, in sentences."""


@dataclass(frozen=True)
class Plots:
    """Figures side by side. Where there are none, as in Markdown, `instead` stands for them."""

    plots: tuple[Plot, ...]
    size: Literal["small", "middle", "wide"] = "middle"
    caption: Text = ""
    """How all are to be read."""
    instead: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Card:
    """One of several things of a kind, with all that is said of it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class File:
    """A file that lies beside the pages, as it is written."""

    name: str
    text: str


Block = Table[Any] | Paragraph | Heading | Bullets | Facts | Source | Plots | Card | File


def caption(*parts: Part) -> Paragraph:
    """Small print."""
    return Paragraph(parts, "caption")


def joined(*texts: Text | int) -> Text:
    """Those of the texts that are something, with a blank between: `condition and text` may be nothing."""
    parts: list[Part] = []
    for text in texts:
        if text and not isinstance(text, int):
            parts += [" "] if parts else []
            parts += [text] if isinstance(text, str) else text
    return tuple(parts)
