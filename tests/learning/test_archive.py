import io
import json
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from gmdsl.learning.archive import HEADER, read_arrays, write_arrays

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.ones((3, 2), np.int8)), "0": np.zeros((0, 4))}


def test_what_was_written_comes_back(tmp_path):
    path = str(tmp_path / "w.npz")
    write_arrays("save", path, {"format": 1}, ARRAYS)
    header, found = read_arrays(path)
    assert header == {"format": 1}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert (found[name].dtype, found[name].flags.writeable) == (array.dtype, True)


def packed(members, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def npy(array, **changes):
    stream = io.BytesIO()
    described = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **changes}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue() + array.tobytes()


HEADED = (f"{HEADER}.npy", npy(np.frombuffer(json.dumps({"format": 1}).encode(), np.uint8)))
DEEP = np.frombuffer(b"[" * 200_000 + b"]" * 200_000, np.uint8)


class Bomb:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    "content",
    [
        packed([HEADED, ("a.npy", npy(np.zeros(10**6)))], zipfile.ZIP_DEFLATED),
        packed([HEADED, ("a.npy", npy(np.zeros(3), shape=(10**12,)))]),
        packed([HEADED, ("a.npy", npy(np.zeros(3), shape=(-3,)))]),
        packed([HEADED, ("a.npy", npy(np.zeros(3), shape=(2,)))]),
        packed([HEADED, ("a.npy", npy(np.zeros(3), descr="|O"))]),
        packed([HEADED, ("a.npy", b"\x93NUMPY\x01\x00\x76\x00" + pickle.dumps(Bomb()))]),
        packed([HEADED, ("a.npy", b"\x93NUMPY\x09\x00" + bytes(100))]),
        packed([HEADED, ("a.npy", b"")]),
        packed([HEADED, ("a.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535)]),
        packed([(f"{HEADER}.npy", npy(DEEP))]),
        packed([(f"{HEADER}.npy", npy(np.frombuffer(b"[1]", np.uint8)))]),
        packed([("a.npy", npy(np.zeros(3)))]),
        b"",
    ],
    ids=["compressed", "huge", "negative", "short", "objects", "pickle", "version", "empty member", "brackets", "deep",
         "no table", "no header", "empty"],
)  # fmt: skip
def test_a_file_that_is_not_whole_is_an_error_that_takes_no_memory_and_runs_nothing(tmp_path, capsys, content):
    path = tmp_path / "w.npz"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError):
        read_arrays(str(path))
    assert tracemalloc.get_traced_memory()[1] < 8 * len(content) + 2**20
    tracemalloc.stop()
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name_and_members_that_overlap_are_refused(tmp_path):
    path = tmp_path / "w.npz"
    path.write_bytes(packed([HEADED, ("a.npy", npy(np.zeros(3))), ("a.npy", npy(np.ones(3)))]))
    with pytest.raises(ValueError, match="two members"):
        read_arrays(str(path))
    content = bytearray(packed([HEADED, ("a.npy", npy(np.zeros(3)))]))
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 20 : entry + 28] = (2**31).to_bytes(4, "little") * 2
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="longer than the file"):
        read_arrays(str(path))
