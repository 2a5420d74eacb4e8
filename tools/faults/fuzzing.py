"""Suite files with things wrong in them: each must be read, or refused with an error for people.

    python -m tools.faults.fuzzing SEED COUNT FOLDER

reads so many of them in this process, under limits of memory and time, and prints what came out as JSON.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from types import FrameType

from benchmarks.errors import UserError
from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.groups import groups_of
from benchmarks.settings.run import setting_paths
from benchmarks.suite.claims import Claim
from benchmarks.suite.design import DESIGNS, Design
from benchmarks.suite.reading import parse_suite, read_suite_text
from benchmarks.suite.search import SearchTable
from benchmarks.suite.suite import Suite
from tools.faults.bench import Bench, Tally
from zoo.settings import SettingError

INPUTS_A_PROCESS = 10_000

MOST_BYTES = 3 * 2**30
"""Of address space that a process which reads suites may take; what it takes from the start is a third of it."""

MOST_SECONDS = 20.0
"""Of computing that one suite may take. 100,000 runs, the most that a suite may have, take some seconds."""

_EXTRA = """
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


def suites() -> list[str]:
    """Suites that are right, for mutations to start from: all that are shipped, and some with all there is."""
    shipped = [path for path in files("benchmarks.suite").joinpath("suites").iterdir() if path.name.endswith(".toml")]
    texts = [path.read_text(encoding="utf-8") for path in sorted(shipped, key=lambda path: path.name)]
    begun = files("benchmarks.suite").joinpath("new_suite.toml").read_text(encoding="utf-8").format(name="study")
    return [*texts, begun, _EXTRA]


def mutated(texts: Sequence[str], generator: random.Random) -> bytes:
    """One of some suites with one to four things changed, as the bytes of a file."""
    tokens = _TOKEN.findall(generator.choice(texts))
    for _ in range(generator.choice((1, 1, 1, 1, 2, 2, 3, 4))):
        generator.choice(_CHANGES)(tokens, texts, generator)
    content = "".join(tokens).encode("utf-8", "surrogatepass")
    if generator.random() < 0.03:
        place = generator.randrange(len(content) + 1)
        content = content[:place] + generator.randbytes(generator.randint(1, 8)) + content[place:]
    return content[: generator.randrange(len(content) + 1)] if generator.random() < 0.03 else content


_Change = Callable[[list[str], Sequence[str], random.Random], None]


def _place(tokens: Sequence[str], generator: random.Random) -> int:
    """The place of a token that says something, if there is one."""
    places = [place for place, token in enumerate(tokens) if not token.isspace() and not token.startswith("#")]
    return generator.choice(places or [0])


def _change_value(tokens: list[str], _: Sequence[str], generator: random.Random) -> None:
    """Another value in place of one."""
    places = [place for place, token in enumerate(tokens) if _VALUE.match(token) and not _is_key(tokens, place)]
    if places:
        place = generator.choice(places)
        alike = [_near(generator)] if tokens[place][0].isdigit() else _NAMES
        tokens[place] = generator.choice(generator.choice((_VALUES, alike, alike)))


def _change_key(tokens: list[str], _: Sequence[str], generator: random.Random) -> None:
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


def _break(tokens: list[str], _: Sequence[str], generator: random.Random) -> None:
    """Anything in place of anything, or between."""
    place = _place(tokens, generator)
    tokens[place : place + generator.randrange(2)] = [generator.choice(generator.choice((_ODD, _VALUES, _NAMES)))]


def _remove(tokens: list[str], _: Sequence[str], generator: random.Random) -> None:
    place = _place(tokens, generator)
    del tokens[place : place + generator.choice((1, 1, 1, 5, 30))]


def _repeat(tokens: list[str], _: Sequence[str], generator: random.Random) -> None:
    place = _place(tokens, generator)
    part = tokens[place : place + generator.choice((1, 3, 10))]
    tokens[place:place] = part * generator.choice((1, 1, 2, 40))


def _swap(tokens: list[str], _: Sequence[str], generator: random.Random) -> None:
    if tokens:
        first, second = _place(tokens, generator), _place(tokens, generator)
        tokens[first], tokens[second] = tokens[second], tokens[first]


def _add_line(tokens: list[str], texts: Sequence[str], generator: random.Random) -> None:
    """A line, or a table, of another suite."""
    other = generator.choice(texts)
    lines = other.splitlines(keepends=True)
    start = generator.randrange(len(lines))
    ends = [place for place, token in enumerate(tokens) if token.startswith("\n")]
    place = generator.choice(ends or [0]) + 1
    tokens[place:place] = _TOKEN.findall("".join(lines[start : start + generator.choice((1, 1, 6))]) + "\n")


def _set(tokens: list[str], _: Sequence[str], generator: random.Random) -> None:
    """Another setting with another value, as a line of its own."""
    ends = [place for place, token in enumerate(tokens) if token.startswith("\n")]
    value = generator.choice(generator.choice((_VALUES, _NAMES, [_near(generator)])))
    tokens.insert(generator.choice(ends) + 1 if ends else 0, f"{generator.choice(_NAMES)} = {value}\n")


_CHANGES: Sequence[_Change] = (
    *(_change_value,) * 10,
    *(_set, _add_line) * 2,
    _change_key,
    *(_break, _remove, _repeat, _swap),
)
"""What can be changed; most of it leaves TOML, so that more than its reader is tried."""


@dataclass
class Findings:
    """What came out of some files."""

    read: int = 0
    """All of them."""
    accepted: int = 0
    slowest_seconds: float = 0.0
    faults: dict[str, str] = field(default_factory=dict)
    """Name of the file that was kept -> the end of the traceback."""


class TooSlowError(Exception):
    """A suite takes longer than it may."""


def read_all(seed: int, count: int, folder: Path, most_seconds: float = MOST_SECONDS) -> Findings:
    """Read mutated suites one after another; those that end in a traceback are kept in a folder."""
    generator, found, texts = random.Random(seed), Findings(), suites()
    path = folder / f"under_way-{seed}.toml"  # stays where this process dies of it
    for number in range(count):
        path.write_bytes(mutated(texts, generator))
        begun = time.process_time()
        try:
            with _limited(most_seconds):
                found.accepted += is_accepted(path)
        except Exception:  # this is what is looked for
            kept = folder / f"fault-{seed}-{number}.toml"
            kept.write_bytes(path.read_bytes())
            found.faults[kept.name] = traceback.format_exc()[-1500:]
        found.read += 1
        found.slowest_seconds = max(found.slowest_seconds, time.process_time() - begun)
    path.unlink(missing_ok=True)
    return found


def is_accepted(path: Path) -> bool:
    """Whether a suite file is right: False where it is refused with an error for people; else whatever it raises."""
    try:
        suite = parse_suite(read_suite_text(path), path.name)
    except (UserError, SettingError) as error:
        if not str(error).startswith((path.name, str(path))):
            raise AssertionError("an error that names no file") from error
        return False
    try:
        cells = expand_cells(suite)
        groups_of(suite, cells, dict.fromkeys(suite.datasets, "1.0.0"))
    except (UserError, SettingError):
        return False
    return True


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise where more than so many seconds are computed."""

    def end(_: int, __: FrameType | None) -> None:
        raise TooSlowError(f"more than {seconds:g} s")

    kept = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, kept)


def fuzz_suites(bench: Bench, count: int) -> Tally:
    """Read mutated suites in processes of their own, since one could end its process; no runs are trained."""
    folder = bench.root / "fuzz"
    folder.mkdir()
    tally, accepted, slowest = Tally({}), 0, 0.0
    seeds = bench.random("fuzz")
    counts = [min(INPUTS_A_PROCESS, count - start) for start in range(0, count, INPUTS_A_PROCESS)]
    numbers = [seeds.randrange(2**31) for _ in counts]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for found in threads.map(_read_in_process, numbers, counts, itertools.repeat(folder)):
            tally.tried += found.read
            tally.survived += found.read - len(found.faults)
            accepted += found.accepted
            slowest = max(slowest, found.slowest_seconds)
            for name, text in found.faults.items():
                print(f"{folder / name}:\n{text}", file=sys.stderr)
    tally.how = f"{accepted} right, the others refused; the slowest took {1000 * slowest:.0f} ms"
    return tally


def _read_in_process(seed: int, count: int, folder: Path) -> Findings:
    command = [sys.executable, "-m", __name__, str(seed), str(count), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"the reader of suites ended its process; the file is in {folder}\n{done.stderr[-2000:]}")
    return Findings(**json.loads(done.stdout))


def main(seed: int, count: int, folder: Path) -> None:
    """Read suites under a limit of memory, and print what came out."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    print(json.dumps(asdict(read_all(seed, count, folder))))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
