"""Arrays that users pass: lists, frames, series and arrays become arrays of numbers.

Elements that are masked, or missing in a table, become NaN; integers of less than 32 bits are widened, so that sums and
products of them do not wrap around.
"""

import warnings
from typing import Any

import jax
import numpy as np

from gmdsl.core.errors import PrecisionWarning, SpecError

LOOKED_AT = 10_000  # elements that are compared in both precisions
ROUNDING = 1e-12  # relative difference of two numbers that were meant to be equal
MERGED = 0.05  # the share of distinct elements that may become equal without a warning


def as_numbers(operation: str, array: Any, *, nan: bool = False, fix: str | None = None) -> np.ndarray:
    """A private, read-only copy of numbers handed in by a user; other objects are refused, and NaN unless `nan`.

    Args:
        operation: what the user called, for messages.
        array: anything that NumPy reads as an array of numbers.
        nan: whether NaN may stay.
        fix: what to propose where there is NaN.
    """
    try:
        value = _plain(array)
    except Exception as error:
        raise SpecError(f"{operation}: cannot be read as an array ({error}). Pass numbers.") from error
    if value.dtype.kind not in "biuf":
        raise SpecError(f"{operation}: dtype {value.dtype}, numbers are needed. Convert to float, int or bool first.")
    if not nan and value.dtype.kind == "f" and np.isnan(value).any():
        where = tuple(int(i) for i in np.argwhere(np.isnan(value))[0])
        count = int(np.isnan(value).sum())
        if not where:
            raise SpecError(f"{operation}: the value is NaN. {fix or 'Give a number.'}")
        raise SpecError(
            f"{operation}: {count} of {value.size} values are NaN (first at {where})."
            f" {fix or 'Remove or impute them first.'}"
        )
    value = _widened(value)
    if not jax.config.jax_enable_x64:
        _check_single_precision(operation, value)
    value.flags.writeable = False
    return value


def _plain(array: Any) -> np.ndarray:
    """A NumPy array of what was handed in, with NaN where a mask or a table says that there is nothing."""
    if np.ma.isMaskedArray(array):
        return array.astype(float).filled(np.nan) if np.ma.is_masked(array) else np.array(array.data)
    value = np.array(array)
    if value.dtype.kind == "O" and hasattr(array, "to_numpy"):
        return np.array(array.to_numpy(dtype=float, na_value=np.nan))
    if value.ndim and value.dtype.kind == "O" and all(v is None or isinstance(v, int | float) for v in value.ravel()):
        return value.astype(float)
    return value


def _widened(value: np.ndarray) -> np.ndarray:
    kind, size = value.dtype.kind, value.dtype.itemsize
    if kind in "iu" and size < 4:
        return value.astype(np.int32)
    if kind == "u":
        return (
            value.astype(np.int64) if value.size == 0 or value.max() <= np.iinfo(np.int64).max else value.astype(float)
        )
    return value.astype(np.float32) if kind == "f" and size < 4 else value


def _check_single_precision(operation: str, value: np.ndarray) -> None:
    """Refuses what single precision cannot hold, and warns of different numbers that become one."""
    fix = 'Enable x64, jax.config.update("jax_enable_x64", True), before the model is declared'
    if value.dtype.kind == "i" and value.size and max(abs(int(value.min())), int(value.max())) > np.iinfo(np.int32).max:
        raise SpecError(f"{operation}: values up to {np.abs(value).max()} do not fit int32. {fix}.")
    if value.dtype != np.float64 or not value.size:
        return
    finite = value[np.isfinite(value)]
    if finite.size and np.abs(finite).max() > np.finfo(np.float32).max:
        raise SpecError(f"{operation}: {np.abs(finite).max():g} does not fit into single precision. {fix}, or rescale.")
    some = np.unique(finite.ravel()[:LOOKED_AT])
    single = some.astype(np.float32)
    apart = some[1:] - some[:-1] > ROUNDING * np.abs(some[1:])  # no copies that differ by rounding alone
    merged = np.flatnonzero((single[1:] == single[:-1]) & apart)
    if len(merged) > MERGED * len(some):
        first, second = float(some[merged[0]]), float(some[merged[0] + 1])
        warnings.warn(
            f"{operation}: {first!r} and {second!r} are one number in single precision, {float(single[merged[0]])!r}."
            f" Subtract the smallest value first, or the mean. {fix}.",
            PrecisionWarning,
            stacklevel=4,
        )
