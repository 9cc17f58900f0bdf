"""Arrays that users pass: lists, frames, series and arrays become arrays of numbers."""

from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError


def as_numbers(operation: str, array: Any, *, nan: bool = False, fix: str | None = None) -> np.ndarray:
    """A private copy of numbers handed in by a user; other objects are refused, and NaN unless `nan`.

    Args:
        operation: what the user called, for messages.
        array: anything that NumPy reads as an array of numbers.
        nan: whether NaN may stay.
        fix: what to propose where there is NaN.
    """
    try:
        value = np.array(array)
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
    return value
