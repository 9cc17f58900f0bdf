import os

import pytest

from gmdsl.run.storage import durable
from gmdsl.run.storage.durable import DamagedError, flush, flush_folder, move, seal, unseal, write_file


def test_a_file_is_replaced_whole_and_an_interrupted_write_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "note"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_file(path, b"three")
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"two", ["note"])


def test_files_reach_the_disk_before_their_names_and_the_folders_after(tmp_path, monkeypatch):
    (tmp_path / "new").write_bytes(b"1")
    (tmp_path / "other").write_bytes(b"2")
    places = {tmp_path / "new": tmp_path / "a" / "b" / "0", tmp_path / "other": tmp_path / "1"}
    seen = []
    sync = durable._sync

    def spied(path, flags):
        seen.append((path.relative_to(tmp_path).as_posix(), (tmp_path / "a" / "b" / "0").exists()))
        sync(path, flags)

    monkeypatch.setattr(durable, "_sync", spied)
    monkeypatch.setattr(durable, "THREADS", 1)
    move(places)
    assert seen[0] == ("new", False)
    names = [name for name, _ in seen]
    assert names[:4] == ["new", "a/b", "other", "."]
    assert set(names[4:]) == {"a", "."}
    assert ((tmp_path / "a" / "b" / "0").read_bytes(), (tmp_path / "1").read_bytes()) == (b"1", b"2")


def test_many_files_are_flushed(tmp_path):
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"x")
    flush(tmp_path / str(number) for number in range(20))
    flush_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        flush([tmp_path / "0", tmp_path / "nothing"])


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"text 2\nabc", "another version"), (seal(b"text 1\n", b"x") + b"y", "wrong")],
)
def test_a_text_that_is_not_whole_says_why(content, said):
    with pytest.raises(DamagedError, match=said):
        unseal(b"text 1\n", content)
