import pathlib

import pytest

import gmdsl as gm
from gmdsl.core.file_paths import path_and_thing


def test_a_path_and_a_thing_are_told_apart_in_either_order():
    assert path_and_thing("save", "", pathlib.Path("a.npz"), 3.0) == ("a.npz", 3.0)
    assert path_and_thing("save", "", 3.0, pathlib.Path("a.npz")) == ("a.npz", 3.0)


def test_two_things_are_refused_by_name():
    with pytest.raises(gm.SpecError, match=r"save\(...\): the path of a file is needed, and float and int"):
        path_and_thing("save", "this", 3.0, 4)
