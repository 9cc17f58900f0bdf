import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.user_arrays import as_numbers


@pytest.mark.parametrize(
    ("array", "message"),
    [([1.0, np.nan], "1 of 2 values are NaN"), (["a"], "numbers are needed"), ([[1.0], [1.0, 2.0]], "cannot be read")],
)
def test_data_that_are_not_numbers_are_refused(array, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.data(array)


def test_the_first_nan_is_named_with_its_place_and_what_to_do():
    array = np.ones((2, 3))
    array[1, 0] = array[1, 2] = np.nan
    with pytest.raises(gm.SpecError, match=r"f\(x=...\): 2 of 6 values are NaN \(first at \(1, 0\)\). Drop them."):
        as_numbers("f(x=...)", array, fix="Drop them.")
    with pytest.raises(gm.SpecError, match="the value is NaN. Give a number."):
        as_numbers("f(x=...)", np.nan)
    np.testing.assert_array_equal(as_numbers("f", array, nan=True), array)


def test_numbers_keep_their_type_and_are_copied():
    for given in (np.array([True]), np.array([1, 2], np.int8), np.array([0.5], np.float32)):
        found = as_numbers("f", given)
        assert found.dtype == given.dtype
        assert not np.shares_memory(found, given)
    assert as_numbers("f", [[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("array", [1j, "a", None, {"a": 1.0}, np.datetime64("2020-01-01")])
def test_what_is_no_number_is_refused_by_its_type(array):
    with pytest.raises(gm.SpecError, match=r"f: dtype .*, numbers are needed"):
        as_numbers("f", array)
