import warnings

import jax
import numpy as np
import numpyro.distributions as dist
import pandas as pd
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
    for given in (np.array([True]), np.array([1, 2], np.int32), np.array([0.5], np.float32)):
        found = as_numbers("f", given)
        assert found.dtype == given.dtype
        assert not np.shares_memory(found, given)
    assert as_numbers("f", [[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("array", [1j, "a", None, {"a": 1.0}, np.datetime64("2020-01-01")])
def test_what_is_no_number_is_refused_by_its_type(array):
    with pytest.raises(gm.SpecError, match=r"f: dtype .*, numbers are needed"):
        as_numbers("f", array)


def test_what_is_masked_or_missing_in_a_table_is_nan():
    masked = np.ma.array([1, 2, -999], mask=[0, 0, 1])
    np.testing.assert_array_equal(as_numbers("data(...)", masked, nan=True), [1.0, 2.0, np.nan])
    with pytest.raises(gm.SpecError, match=r"1 of 3 values are NaN \(first at \(2,\)\)"):
        as_numbers("data(...)", masked)
    table = pd.Series(pd.array([1, None, 3], dtype="Int64"))
    np.testing.assert_array_equal(as_numbers("data(...)", table, nan=True), [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(as_numbers("data(...)", [1.0, None], nan=True), [1.0, np.nan])
    assert as_numbers("data(...)", np.ma.array([1, 2])).dtype.kind == "i"


def test_small_numbers_are_widened():
    for given, wanted in (("uint8", "int32"), ("int16", "int32"), ("float16", "float32"), ("uint32", "int64")):
        assert as_numbers("data(...)", np.array([200], given)).dtype == wanted
    image = gm.joint(im=gm.data(np.array([200], np.uint8)), y=lambda im: dist.Normal(im * 2, 1e-3))
    assert abs(float(image.sample(jax.random.key(0))["y"][0]) - 400.0) < 0.01


def test_what_does_not_fit_in_single_precision_is_refused(x64):
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(gm.SpecError, match=r"values up to 3000000000 do not fit int32. Enable x64"):
            as_numbers("data(...)", [3_000_000_000])
        with pytest.raises(gm.SpecError, match=r"1e\+300 does not fit into single precision"):
            as_numbers("data(...)", [1e300])
        with pytest.warns(gm.PrecisionWarning, match=r"1700000000.0 and 1700000001.0 are one number"):
            as_numbers("data(...)", [1700000000.0, 1700000001.0])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            as_numbers("data(...)", np.random.default_rng(0).normal(size=100_000))
            as_numbers("data(...)", np.linspace(-1.0, 1.0, 20))  # the same numbers up to rounding on both sides of zero
    finally:
        jax.config.update("jax_enable_x64", True)
    assert as_numbers("data(...)", [3_000_000_000])[0] == 3_000_000_000
