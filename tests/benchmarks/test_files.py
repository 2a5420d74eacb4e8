"""Files that are replaced as a whole: whatever happens, the old one is there, or the new one."""

import os
from pathlib import Path

import pytest

from benchmarks.files import replaced


def test_new_file_takes_the_place_of_the_old(tmp_path):
    """Folders are made, what was there is replaced once the block has ended, and nothing else is left."""
    path = tmp_path / "a" / "weights.npz"
    for content in (b"first", b"second"):
        with replaced(path) as file:
            file.write(content)
            assert not path.exists() or path.read_bytes() == b"first"
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_what_is_not_finished_is_removed(error, tmp_path):
    """Where writing ends by an error or an interrupt, the old file stays and the new one goes."""
    path = tmp_path / "weights.npz"
    path.write_bytes(b"old")

    def write():
        with replaced(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        write()
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"old"]


def test_killed_process_leaves_the_old_file(tmp_path, start):
    """A process that is killed while it writes leaves the old file, and a part that is named for it."""
    path = tmp_path / "a.checkpoint"
    path.write_bytes(b"old")
    script = f"""
        import time
        from pathlib import Path
        from benchmarks.files import replaced
        with replaced(Path({str(path)!r})) as file:
            file.write(b"new")
            file.flush()
            print("written")
            time.sleep(60)
    """
    process = start(script)
    assert process.stdout.readline() == "written\n"
    process.kill()
    process.wait()
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {
        "a.checkpoint": b"old",
        f"a.{process.pid}.part": b"new",
    }


def test_on_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    """All of the content is on the disk before the name is its: after a loss of power it would else be empty."""
    path, done, replace = tmp_path / "weights.npz", [], Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: done.append(os.fstat(number).st_size))
    monkeypatch.setattr(Path, "replace", lambda made, place: done.append(place) or replace(made, place))
    with replaced(path) as file:
        file.write(b"content")
    assert done == [len(b"content"), path]
