"""Mutations of suite files as strategies of Hypothesis: of their tables, of their text, and what was never a suite."""

from __future__ import annotations

import copy
import functools
import json
import random
import re
import tomllib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from hypothesis import strategies as st

from benchmarks.settings.run import setting_paths
from benchmarks.suite.claims import Claim
from benchmarks.suite.design import DESIGNS, Design
from benchmarks.suite.search import SearchTable
from benchmarks.suite.suite import Suite

EVERYTHING = """
name = "everything"
datasets = ["digits", "diabetes"]
seeds = [3, 4, 5, 6, 7, 8]
design = { name = "path", order = ["recipe", "model.dropout", "model.width"] }
[model]
variant = "mlp_small"
[factors]
"model.dropout" = [0.0, 0.2]
"model.width" = [64, [128, 64]]
recipe.plain = { "train.optimizer" = "sgd" }
recipe.adaptive = { "train.optimizer" = "adam" }
[baseline]
"model.dropout" = 0.0
"model.width" = 64
recipe = "plain"
[search]
strategy = "random"
trials = 4
objective = "val_loss"
per = ["recipe", "dataset"]
[search.space]
"train.learning_rate" = { log = [1e-4, 1e-1] }
"model.activation" = ["relu", "tanh"]
"model.initializer" = { choices = ["he_normal"], when = { "model.activation" = "relu" } }
[[claims]]
statement = "Dropout helps"
factor = "model.dropout"
better = 0.2
than = 0.0
where = { recipe = "adaptive" }
metric = "test_loss"
margin = 0.01
datasets = "average"
[analysis]
alpha = 0.1
looks = [6, 8]
"""

_PARTIAL = """
name = "partial"
datasets = ["digits", "mnist:3.0.1"]
seeds = [3, 1, 4]
[model]
variant = "mlp_small"
[factors]
"model.dropout" = [0.0, 0.2]
recipe.plain = { "train.optimizer" = "sgd", "train.learning_rate" = 0.1 }
recipe.adaptive = { "train.optimizer" = "adam", "train.learning_rate" = 0.001 }
[baseline]
recipe = "adaptive"
[[exclude]]
"model.dropout" = 0.2
recipe = "plain"
[[include]]
"model.dropout" = 0.2
recipe = "plain"
"""

# Strings of all four kinds, comments, bare words with numbers and dates among them, and everything else by itself.
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|\#[^\n]*|[\w.+:-]+|\s+|.', re.DOTALL
)

_VALUE = re.compile(r"""["'0-9+-]|true$|false$|nan$|inf$""")

_VALUES = [
    *("nan", "-inf", "inf", "1e400", "-0.0", "1e-320", "0", "-1", "2", "0.5", "true", "false", '""', "''", "[]", "{}"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 5000, "0x7fffffffffffffff", "1_0"),
    *("1979-05-27T07:32:00Z", "07:32:00", "1979-05-27", "0b1", "+1", "1e5", "100000", "100001", "1000000000"),
    *("[[]]", "[{}]", "{ a = 1 }", "[1, 'a']", "[[1, 2], [3]]", "[0, 0]", "[true, false]", "[1e308, 1e308]", "[nan]"),
    *('"../../x"', '"/etc/passwd"', '"\\u0000"', '"\\U0010FFFF"', '"=1+1"', '"<script>"', "'a\x01b'", '"\\u202E"'),
    *('"a" * 3', '"{{7*7}}"', '"%s%n"', "'$(x)'", '"\\u001b[31m"', '"[/red]"', '"\u6a21\u578b"', '"' + "a" * 70 + '"'),
]
"""What TOML takes for a value, and much of what it nearly takes."""

_ODD = [
    *("=", ",", ".", "[", "]", "{", "}", "\n", "#", '"', "'", '"""', "\\", "\r", "\t", "\0", "\ufeff"),
    *("\ud7ff", "\x7f"),
    *("[" * 50, "[" * 5000, "{a=" * 300, "a." * 300 + "a = 1\n", "[[claims]]\n"),
    *("[factors]\n", "[model]\n", "[search]\n"),
    *("[search.space]\n", "[[exclude]]\n", "[[include]]\n", "[[tuned]]\n", "[baseline]\n", "[augment]\n", "[data]\n"),
]

_NAMES = [
    *(f'"{path}"' for path in setting_paths()),
    *(path.partition(".")[2] for path in setting_paths()),
    *(name for config in (Suite, Design, Claim, SearchTable) for name in config.model_fields),
    *(f'"{name}"' for name in DESIGNS),
    *('"mnist"', '"digits"', '"diabetes"', '"resnet8"', '"lenet5"', '"mlp_linear"', '"hyperband"', '"bayesian"'),
    *("name", "self", "cls", "config", "values", "changes", "variant", '"train.variant"', '"model"', '"search.trials"'),
    *('"grid"', '"cell"', '"suite"', '"generalises"', '"equivalence"', '"val_accuracy"', '"test_rmse"'),
]


@functools.cache
def suites() -> list[str]:
    """Suites that are right, for mutations to start from: all that are shipped, and some with all there is."""
    shipped = [path for path in files("benchmarks.suite").joinpath("suites").iterdir() if path.name.endswith(".toml")]
    texts = [path.read_text(encoding="utf-8") for path in sorted(shipped, key=lambda path: path.name)]
    begun = files("benchmarks.suite").joinpath("new_suite.toml").read_text(encoding="utf-8").format(name="study")
    return [*texts, begun, EVERYTHING, _PARTIAL]


def mutated(generator: random.Random) -> bytes:
    """A suite with one to four things changed, as the bytes of a file."""
    tokens = _TOKEN.findall(generator.choice(suites()))
    for _ in range(generator.choice((1, 1, 1, 1, 2, 2, 3, 4))):
        generator.choice(_CHANGES)(tokens, generator)
    content = "".join(tokens).encode("utf-8", "surrogatepass")
    if generator.random() < 0.03:
        place = generator.randrange(len(content) + 1)
        content = content[:place] + generator.randbytes(generator.randint(1, 8)) + content[place:]
    return content[: generator.randrange(len(content) + 1)] if generator.random() < 0.03 else content


def _place(tokens: Sequence[str], generator: random.Random) -> int:
    """The place of a token that says something, if there is one."""
    places = [place for place, token in enumerate(tokens) if not token.isspace() and not token.startswith("#")]
    return generator.choice(places or [0])


def _line_start(tokens: Sequence[str], generator: random.Random) -> int:
    """The place of a token that begins a line."""
    ends = [place for place, token in enumerate(tokens) if token.startswith("\n")]
    return generator.choice(ends or [-1]) + 1


def _change_value(tokens: list[str], generator: random.Random) -> None:
    """Another value in place of one."""
    places = [place for place, token in enumerate(tokens) if _VALUE.match(token) and not _is_key(tokens, place)]
    if places:
        place = generator.choice(places)
        alike = [_near(generator)] if tokens[place][0].isdigit() else _NAMES
        tokens[place] = generator.choice(generator.choice((_VALUES, alike, alike)))


def _change_key(tokens: list[str], generator: random.Random) -> None:
    """Another name in place of one."""
    places = [place for place in range(len(tokens)) if _is_key(tokens, place)]
    if places:
        tokens[generator.choice(places)] = generator.choice(_NAMES)


def _is_key(tokens: Sequence[str], place: int) -> bool:
    """Whether a token stands before an equals sign."""
    following = (token for token in tokens[place + 1 : place + 3] if not token.isspace())
    return next(following, None) == "=" and not tokens[place].isspace()


def _near(generator: random.Random) -> str:
    """A number that may well be right."""
    return str(generator.choice((generator.randrange(12), round(generator.random(), 2), 2 ** generator.randrange(12))))


def _break(tokens: list[str], generator: random.Random) -> None:
    """Anything in place of anything, or between."""
    place = _place(tokens, generator)
    tokens[place : place + generator.randrange(2)] = [generator.choice(generator.choice((_ODD, _VALUES, _NAMES)))]


def _remove(tokens: list[str], generator: random.Random) -> None:
    place = _place(tokens, generator)
    del tokens[place : place + generator.choice((1, 1, 1, 5, 30))]


def _repeat(tokens: list[str], generator: random.Random) -> None:
    place = _place(tokens, generator)
    part = tokens[place : place + generator.choice((1, 3, 10))]
    tokens[place:place] = part * generator.choice((1, 1, 2, 40))


def _swap(tokens: list[str], generator: random.Random) -> None:
    if tokens:
        first, second = _place(tokens, generator), _place(tokens, generator)
        tokens[first], tokens[second] = tokens[second], tokens[first]


def _add_line(tokens: list[str], generator: random.Random) -> None:
    """A line, or a table, of another suite."""
    lines = generator.choice(suites()).splitlines(keepends=True)
    start = generator.randrange(len(lines))
    place = _line_start(tokens, generator)
    tokens[place:place] = _TOKEN.findall("".join(lines[start : start + generator.choice((1, 1, 6))]) + "\n")


def _set(tokens: list[str], generator: random.Random) -> None:
    """Another setting with another value, as a line of its own."""
    value = generator.choice(generator.choice((_VALUES, _NAMES, [_near(generator)])))
    tokens.insert(_line_start(tokens, generator), f"{generator.choice(_NAMES)} = {value}\n")


_CHANGES: Sequence[Callable[[list[str], random.Random], None]] = (
    *(_change_value,) * 10,
    *(_set, _add_line) * 2,
    _change_key,
    *(_break, _remove, _repeat, _swap),
)
"""What can be changed; most of it leaves TOML, so that more than its reader is tried."""


def mutated_texts() -> st.SearchStrategy[bytes]:
    """Suites with one to four things changed in their text, most of which leave it TOML."""
    return st.builds(mutated, st.randoms(use_true_random=True))


# No surrogates and no DEL: TOML has no way to write them as JSON does.
_words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=8)
_names = _words | st.sampled_from([name.strip('"') for name in _NAMES])
# At most 1,000: a suite of billions of seeds is right, and too large to expand here.
_scalars = _names | st.booleans() | st.integers(-2, 1000) | st.integers(-(2**70), -1) | st.floats()
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4), max_leaves=12
)


def random_tables() -> st.SearchStrategy[dict[str, Any]]:
    """Tables that were never a suite."""
    return st.dictionaries(_names, _values, max_size=6)


def random_texts() -> st.SearchStrategy[bytes]:
    """Text that hardly ever is TOML."""
    characters = st.characters(exclude_categories=["Cs"])
    return (st.text(characters) | st.text("[]{}=\"'.,0123456789abx-_:T\n #", max_size=60)).map(str.encode)


@st.composite
def mutated_tables(draw: st.DrawFn) -> bytes:
    """Suites with one to three places of their tables changed, renamed, removed or added."""
    table = copy.deepcopy(draw(st.sampled_from([tomllib.loads(text) for text in suites()])))
    for _ in range(draw(st.integers(1, 3))):
        _mutate_table(draw, table)
    return document(table)


def _mutate_table(draw: st.DrawFn, place: Any) -> None:
    while keys := list(place) if isinstance(place, dict) else list(range(len(place))):
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and draw(st.booleans()):
            place = place[key]
            continue
        action = draw(st.sampled_from(["change", "rename", "remove", "add"]))
        if action == "change":
            place[key] = draw(_values)
        elif action == "remove":
            del place[key]
        elif isinstance(place, list):
            place.append(draw(_values | st.just(place[key])))
        elif action == "rename":
            place[draw(_names)] = place.pop(key)
        else:
            place[draw(_names)] = draw(_values)
        return


def document(table: dict[str, Any]) -> bytes:
    """A table as a TOML file, a key a line."""
    return "".join(f"{_as_toml(key)} = {_as_toml(value)}\n" for key, value in table.items()).encode()


def _as_toml(value: Any) -> str:
    """A value as TOML; tables inside are inline."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(map(_as_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_as_toml(key)} = {_as_toml(item)}" for key, item in value.items()) + "}"
    return repr(value)


MUTATIONS = (mutated_texts, mutated_texts, mutated_texts, mutated_tables)
"""What a mutated suite file comes from: mostly its text, where the reader of TOML is tried too."""
