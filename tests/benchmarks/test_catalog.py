"""Finding datasets: by name and version, on disk or to be downloaded, with nothing heavy imported."""

from __future__ import annotations

import pwd
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from benchmarks.data.catalog import EMBEDDED, DatasetReference, default_data_dir, find_dataset, prepared_datasets
from benchmarks.errors import DatasetError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data_dir(tmp_path):
    """A TFDS folder that looks as if it held some datasets."""
    for name in ("mnist/3.0.9", "mnist/3.0.10", "mnist/2.11.0", "glue/cola/2.0.0", "glue/sst2/1.0.0", "own_data/0.0.1"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").write_text("{}")
    # What TFDS leaves of a broken download, and what other programs leave.
    for name in ("mnist/9.0.0", "mnist/10.0.0.incompleteX1Y2", "downloads/extracted/x", "empty"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data" / "mnist" / "10.0.0.incompleteX1Y2" / "dataset_info.json").write_text("{}")
    (tmp_path / "data" / "file").write_text("")
    return tmp_path / "data"


def message_of(name, data_dir):
    with pytest.raises(DatasetError) as caught:
        find_dataset(name, data_dir, data_dir / "runs")
    return str(caught.value)


def test_newest_version_by_number(data_dir):
    """Of several prepared versions the newest is used, 3.0.10 before 3.0.9; a broken download is none."""
    reference = find_dataset("mnist", data_dir, data_dir / "runs")
    assert reference == DatasetReference("mnist", "3.0.10", "prepared", data_dir)
    assert reference.directory == data_dir / "mnist" / "3.0.10"


@pytest.mark.parametrize("version", ["3.0.9", "3.0.10", "2.11.0"])
def test_pinned_version(data_dir, version):
    """A pinned version that is prepared is used, whether there are newer ones or not."""
    assert find_dataset(f"mnist:{version}", data_dir, data_dir) == DatasetReference(
        "mnist", version, "prepared", data_dir
    )


def test_config_of_a_dataset(data_dir):
    """A dataset with a config lies one folder deeper."""
    reference = find_dataset("glue/cola", data_dir, data_dir)
    assert (reference.name, reference.version, reference.origin) == ("glue/cola", "2.0.0", "prepared")
    assert reference.directory == data_dir / "glue" / "cola" / "2.0.0"


def test_dataset_that_only_the_user_has(data_dir):
    """What lies prepared on disk needs no place in TFDS's own list."""
    assert find_dataset("own_data", data_dir, data_dir).origin == "prepared"


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded(data_dir, tmp_path, name):
    """An embedded dataset is prepared in the runs folder: the data folder may be read-only."""
    reference = find_dataset(name, data_dir, tmp_path / "runs")
    assert (reference.origin, reference.version) == ("embedded", EMBEDDED[name].version)
    assert tmp_path / "runs" in reference.directory.parents
    assert find_dataset(f"{name}:1.0.0", data_dir, tmp_path / "runs") == reference
    assert list(tmp_path.iterdir()) == [data_dir]


@pytest.mark.parametrize(
    ("name", "allowed"), [("digits:9.9.9", "1.0.0"), ("mnist:9.9.9", "2.11.0, 3.0.9, 3.0.10"), ("mnist:9.0.0", "3.0.9")]
)
def test_version_that_is_not_there(data_dir, name, allowed):
    """A version that nobody has is refused, with those that there are."""
    message = message_of(name, data_dir)
    assert "no such version" in message
    assert f"given:   {name}" in message
    assert allowed in message


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        ":3.0.1",
        "..",
        "../mnist",
        "mnist/..",
        "mnist/../../etc",
        "/etc/passwd",
        "/mnist",
        "a/../b",
        "glue/co..la",
        "a b",
        "mnist\n",
        "mnist/",
        "glue/cola/2.0.0",
        "~/mnist",
        "m*ist",
        "\0",
    ],
)
def test_names_that_are_none(data_dir, name):
    """A path, a pattern or anything else that is no TFDS name is refused before any folder is looked into."""
    message = message_of(name, data_dir)
    assert "is not a TFDS name" in message
    assert repr(name.partition(":")[0]) in message or repr(name) in message


@pytest.mark.parametrize("name", ["mnist/.", "mnist:.", "mnist:..", "mnist:../../x", "mnist:3.0.10/", "mnist:*"])
def test_roundabout_names(data_dir, name):
    """No second spelling leads to the same folder, else equal runs would get different keys."""
    with pytest.raises(DatasetError):
        find_dataset(name, data_dir, data_dir)


@pytest.mark.parametrize(
    ("given", "nearest"), [("mnits", "mnist"), ("digit", "digits"), ("own_dta", "own_data"), ("cifar_10", "cifar10")]
)
def test_misspelt_name(data_dir, given, nearest):
    """A misspelt name is shown with the nearest: of the embedded, of those on disk and of all that TFDS knows."""
    message = message_of(given, data_dir)
    assert "no such dataset" in message
    assert f"given:   {given}" in message
    assert f"nearest: {nearest}" in message
    assert str(data_dir) in message


def test_name_that_is_near_nothing(data_dir):
    """Where nothing is near, no nearest is made up."""
    assert "nearest" not in message_of("qqqqqqqqxxxxxxxx", data_dir)


def test_download(tmp_path):
    """A dataset that TFDS knows and nobody prepared is to be downloaded, in the version that TFDS has."""
    reference = find_dataset("mnist", tmp_path / "nowhere", tmp_path)
    assert reference.origin == "download"
    assert reference.version == str(tfds.builder_cls("mnist").VERSION)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "version"), [("glue/cola", "2.0.0"), ("mnist_corrupted/shot_noise", "1.0.0"), ("emnist/letters", "3.1.0")]
)
def test_download_of_a_config(tmp_path, name, version):
    """Where a config has a version of its own, that is the dataset's version."""
    reference = find_dataset(name, tmp_path, tmp_path)
    assert (reference.name, reference.version) == (name, version)


@pytest.mark.parametrize("name", ["emnist", "mnist_corrupted"])
def test_download_with_a_default_config(tmp_path, name):
    """A dataset of several configs, named without one, is refused or found where TFDS will put it."""
    try:
        reference = find_dataset(name, tmp_path, tmp_path)
    except DatasetError as error:
        assert name in str(error)  # noqa: PT017 - a refusal is a good outcome too
        return
    assert reference.directory == Path(str(tfds.builder(name, data_dir=str(tmp_path)).data_path))


@pytest.mark.parametrize("name", ["emnist/nonsense", "mnist/nonsense"])
def test_config_that_there_is_not(tmp_path, name):
    """A misspelt config is found before anything is trained, as a misspelt dataset is."""
    with pytest.raises(DatasetError, match="datasets: "):
        find_dataset(name, tmp_path, tmp_path)


def test_prepared_datasets(data_dir):
    """The list of what lies prepared has each dataset once, in its newest version, configs included."""
    found = prepared_datasets(data_dir)
    assert {(each.name, each.version) for each in found} == {
        ("mnist", "3.0.10"),
        ("glue/cola", "2.0.0"),
        ("glue/sst2", "1.0.0"),
        ("own_data", "0.0.1"),
    }
    assert {each.origin for each in found} == {"prepared"}
    assert len(found) == 4


def test_no_folder_of_datasets(tmp_path):
    """Where there is no folder, nothing is prepared."""
    assert prepared_datasets(tmp_path / "nowhere") == []


def test_default_folder(monkeypatch, tmp_path):
    """The default folder is that of TFDS_DATA_DIR, else the one in the home folder; an empty variable is none."""
    monkeypatch.setenv("TFDS_DATA_DIR", "/some/where")
    assert default_data_dir() == Path("/some/where")
    monkeypatch.setenv("HOME", str(tmp_path))
    for unset in (lambda: monkeypatch.setenv("TFDS_DATA_DIR", ""), lambda: monkeypatch.delenv("TFDS_DATA_DIR")):
        unset()
        assert default_data_dir() == tmp_path / "tensorflow_datasets"
    monkeypatch.setenv("TFDS_DATA_DIR", "~/data")  # as a file of a container's variables leaves it
    assert default_data_dir() == tmp_path / "data"


def test_no_home_folder(monkeypatch):
    """Whoever has no home folder, as in a container, is told what to name in its place."""
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", lambda _: {}["no such user"])
    with pytest.raises(DatasetError, match="no home folder") as caught:
        default_data_dir()
    assert "TFDS_DATA_DIR" in str(caught.value)


def test_looking_needs_no_tensorflow(data_dir):
    """Finding an embedded or prepared dataset, and listing them, imports neither TensorFlow nor TFDS."""
    script = f"""
import sys
from pathlib import Path
from benchmarks.data.catalog import find_dataset, prepared_datasets
folder = Path({str(data_dir)!r})
assert find_dataset("digits", folder, folder).origin == "embedded"
assert find_dataset("mnist", folder, folder).origin == "prepared"
assert len(prepared_datasets(folder)) == 4
print(sorted({{"tensorflow", "tensorflow_datasets", "keras"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
