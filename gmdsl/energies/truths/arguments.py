"""What the makers of targets check: numbers, whole numbers, tables of numbers, weights."""

import math
import numbers
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.user_arrays import as_numbers

TOLERANCE = 1e-6  # by which weights may miss 1


def check_number(operation: str, name: str, value: Any, *, above: float | None = None) -> float:
    """A finite number, above a bound where there is one.

    Raises:
        SpecError: names the maker, the argument and its value.

    >>> check_number("funnel", "scale", 3, above=0.0)
    3.0
    """
    bound = "" if above is None else f" above {above:g}"
    number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or (above is not None and not value > above):
        raise SpecError(f"{operation}({name}={value!r}): a finite number{bound} is needed. Pass one.")
    return float(value)


def check_whole(operation: str, name: str, value: Any, least: int, most: float = math.inf) -> int:
    """A whole number between two others.

    Raises:
        SpecError: names the maker, the argument and its value.

    >>> check_whole("ising", "rows", 8, 1)
    8
    """
    if not hasattr(value, "__index__") or isinstance(value, bool) or not least <= value <= most:
        between = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise SpecError(f"{operation}({name}={value!r}): a whole number {between} is needed. Pass one.")
    return int(value)


def check_table(operation: str, name: str, value: Any, rank: int) -> np.ndarray:
    """An array of finite floats with so many axes, none of them empty.

    Raises:
        SpecError: no numbers, other axes, or a value that is not finite.

    >>> check_table("gaussians", "centres", [[0, 1], [2, 3]], 2).shape
    (2, 2)
    """
    table = as_numbers(f"{operation}({name}=...)", value).astype(float)
    if table.ndim != rank or not table.size:
        axes = ("one number", "a vector", "a matrix")[rank]
        raise SpecError(f"{operation}({name}=...): shape {table.shape}, but {axes} is needed. Pass rank {rank}.")
    if not np.isfinite(table).all():
        raise SpecError(f"{operation}({name}=...): an element is infinite. Pass finite numbers.")
    return table


def check_weights(operation: str, weights: Any, count: int) -> np.ndarray:
    """Probabilities of so many components; equal ones for None.

    Raises:
        SpecError: another number of them, one below zero, or a sum that is not 1.

    >>> check_weights("gaussians", None, 4).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if weights is None:
        return np.full(count, 1.0 / count)
    table = check_table(operation, "weights", weights, 1)
    if table.shape != (count,) or (table < 0).any() or abs(table.sum() - 1.0) > TOLERANCE:
        raise SpecError(
            f"{operation}(weights={table.tolist()}): {count} components need {count} weights that are at least 0 and"
            " add to 1. Divide them by their sum."
        )
    return table / table.sum()


def check_scales(operation: str, scales: Any, count: int) -> np.ndarray:
    """Standard deviations or scales of so many components: one for all, or one each.

    Raises:
        SpecError: another number of them, or one that is not above zero.

    >>> check_scales("gaussians", 2.0, 3).tolist()
    [2.0, 2.0, 2.0]
    """
    table = check_table(operation, "scale", scales, min(np.ndim(scales), 1))
    if table.shape not in ((), (count,)) or (table <= 0).any():
        raise SpecError(
            f"{operation}(scale={table.tolist()}): one number above 0 is needed, or one for each of {count} components."
            " Pass a number."
        )
    return np.broadcast_to(table, (count,)).copy()
