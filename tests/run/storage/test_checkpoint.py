import hashlib

import numpy as np
import pytest

import gmdsl as gm
from gmdsl.run.storage.checkpoint import Commit, files, newest, read_note, write, write_note

ARRAYS = (np.arange(6.0).reshape(2, 3), np.array(True), np.zeros((0, 2), np.int32))


def committed(folder, *numbers):
    for done in numbers:
        write(folder, Commit(done, {"seed": done + 1}, tuple(a + done if a.dtype != bool else a for a in ARRAYS)))


def same(commit, done):
    assert (commit.done, commit.facts) == (done, {"seed": done + 1})
    for found, array in zip(commit.arrays, ARRAYS, strict=True):
        np.testing.assert_array_equal(found, array + done if array.dtype != bool else array)
        assert found.dtype == array.dtype


def test_the_newest_comes_back_and_two_are_kept(tmp_path):
    committed(tmp_path, 5, 50, 500)
    assert [path.name for path in files(tmp_path)] == ["000000000500.state", "000000000050.state"]
    same(newest(tmp_path), 500)


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [cut, flipped, lambda content: b"", lambda content: b"gmdsl state 9\n" + content[14:]]
)
def test_a_damaged_file_is_passed_over_for_the_one_before(tmp_path, damage):
    committed(tmp_path, 5, 50)
    newer, older = files(tmp_path)
    newer.write_bytes(damage(newer.read_bytes()))
    with pytest.warns(UserWarning, match=r"000000000050\.state is damaged"):
        same(newest(tmp_path), 5)
    older.write_bytes(damage(older.read_bytes()))
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(gm.StoreError, match="all state files .* are damaged"),
    ):
        newest(tmp_path)


def test_a_file_cut_short_with_a_true_checksum_of_nothing_is_refused(tmp_path):
    committed(tmp_path, 5)
    path = files(tmp_path)[0]
    path.write_bytes(b"gmdsl state 2\n" + hashlib.sha256(b"x").hexdigest().encode() + b"\n")
    with pytest.raises(gm.StoreError, match="damaged"):
        newest(tmp_path)


def test_an_interrupted_write_leaves_the_last_state_and_is_swept_up(tmp_path):
    committed(tmp_path, 5)
    (tmp_path / f"000000000050.state.{32 * 'a'}.partial").write_bytes(b"half")
    (tmp_path / f"{32 * 'b'}.partial").write_bytes(b"half")
    (tmp_path / "notes.partial").write_bytes(b"somebody's")
    same(newest(tmp_path), 5)
    committed(tmp_path, 500)
    assert [path.name for path in tmp_path.glob("*.partial")] == ["notes.partial"]


def test_a_file_under_another_name_is_no_state_and_a_damaged_note_is_an_error(tmp_path):
    committed(tmp_path, 5, 50)
    files(tmp_path)[0].rename(tmp_path / "000000000999.state")
    (tmp_path / "strange.state").write_bytes(b"strange")
    with pytest.warns(UserWarning, match=r"it is the state after 50 records, under another name"):
        same(newest(tmp_path), 5)
    assert read_note(tmp_path / "shares") == 0
    write_note(tmp_path / "shares", 12)
    assert read_note(tmp_path / "shares") == 12
    content = (tmp_path / "shares").read_bytes()
    for damaged in (b"", b"13" + content[2:], b"12", content[:-2], b"x" + content):
        (tmp_path / "shares").write_bytes(damaged)
        with pytest.raises(gm.StoreError, match="shares is damaged"):
            read_note(tmp_path / "shares")


def test_no_state_file_is_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(gm.StoreError, match=r"there is no state file in .*Put back a copy"):
        newest(tmp_path)
