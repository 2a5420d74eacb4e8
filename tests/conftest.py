"""What several test folders share, and in which order tests are run."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests never write where the person who runs them keeps results.
os.environ.pop("ABLATE_STORE", None)

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

# Wherever they start, processes of tests import this checkout: also `tools`, which is not installed, and the helpers.
HELPERS = ROOT / "tests" / "helpers"
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(HELPERS), *filter(None, [os.environ.get("PYTHONPATH")])])

# How long an example takes says nothing of the code on a machine that does other things besides.
settings.register_profile("day", deadline=None, max_examples=50)
settings.register_profile("night", deadline=None)
settings.load_profile("day")

DURATIONS = Path(__file__).with_name("durations.txt")
"""The seconds and the name of each test that took more than `SLOW_SECONDS` on two cores; `make durations` writes it."""
SLOW_SECONDS = 2.0
SECONDS_OF_OTHERS = 0.1
"""What a test that is not in there may take."""

_seconds: Counter[str] = Counter()
"""What the tests of this session took so far, setup and teardown included."""


def pytest_addoption(parser):
    parser.addoption("--write-durations", action="store_true", help=f"write what long tests took to {DURATIONS.name}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what was measured to take long as slow; of the tests that are selected, begin with the longest files."""
    lines = (line.split(maxsplit=1) for line in DURATIONS.read_text(encoding="utf-8").splitlines())
    measured = {name: float(seconds) for seconds, name in lines}
    for item in items:
        if item.nodeid in measured:
            item.add_marker("slow")
    yield
    of_file: Counter[Path] = Counter()
    for item in items:
        of_file[item.path] += measured.get(item.nodeid, SECONDS_OF_OTHERS)
    items.sort(key=lambda item: of_file[item.path], reverse=True)


def pytest_runtest_logreport(report):
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session):
    if session.config.getoption("--write-durations") and not hasattr(session.config, "workerinput"):
        slow = [(name, seconds) for name, seconds in sorted(_seconds.items()) if seconds > SLOW_SECONDS]
        DURATIONS.write_text("".join(f"{seconds:.0f} {name}\n" for name, seconds in slow), encoding="utf-8")


@pytest.fixture(scope="module", params=["numpy", pytest.param("tensorflow", marks=pytest.mark.night)])
def engine(request):
    """The engine of the workers that a test starts: a small one of NumPy, and by night the real one too.

    A test that is marked with `with_tensorflow` has the real one alone, also by day.
    """
    import numpy_engine

    from benchmarks.execution import worker

    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            patch.setattr(worker, "ENGINE", numpy_engine.NAME)
        yield request.param


@pytest.fixture(scope="session")
def shared_tfds():
    """The folder of prepared TFDS datasets that lies beside the developers' checkouts."""
    folder = SHARED / "tfds"
    if not folder.is_dir():
        pytest.skip(f"the prepared datasets are not there: {folder}")
    return folder


@pytest.fixture(scope="session")
def digits_runs(tmp_path_factory):
    """A runs folder with the digits, for tests to copy: a worker would import TensorFlow to prepare them."""
    from benchmarks.data.catalog import find_dataset
    from benchmarks.data.loading import load_decoded
    from benchmarks.data.preparing import prepare

    folder = tmp_path_factory.mktemp("digits") / "runs"
    reference = find_dataset("digits", folder / "none", folder)
    prepare(reference)
    load_decoded(reference, folder)
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The embedded digits, prepared once and in memory."""
    from benchmarks.data.catalog import find_dataset
    from benchmarks.data.loading import load
    from benchmarks.data.preparing import prepare

    folder = tmp_path_factory.mktemp("runs")
    reference = find_dataset("digits", folder / "none", folder)
    prepare(reference)
    return load(reference)
