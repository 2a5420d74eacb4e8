"""What several test folders share."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests never write where the person who runs them keeps results.
os.environ.pop("ABLATE_STORE", None)

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

# Processes that tests start import this checkout, `tools` too, which is not installed, wherever they start.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture(scope="session")
def shared_tfds():
    """The folder of prepared TFDS datasets that lies beside the developers' checkouts."""
    folder = SHARED / "tfds"
    if not folder.is_dir():
        pytest.skip(f"the prepared datasets are not there: {folder}")
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The embedded digits, prepared once and in memory."""
    from benchmarks.data.catalog import find_dataset
    from benchmarks.data.loading import load, prepare

    folder = tmp_path_factory.mktemp("runs")
    reference = find_dataset("digits", folder / "none", folder)
    prepare(reference)
    return load(reference)
