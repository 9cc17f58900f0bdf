"""Names of dimensions and labels along them, as users give them."""

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.graph.factor_graph import Pairs
from gmdsl.graph.names import RESERVED

type Shapes = Mapping[str, tuple[int, ...]]


def checked_dims(dims: Any, coords: Any, shapes: Shapes) -> Pairs:
    """Names of the dimensions of variables and data.

    Raises:
        SpecError: an unknown variable, a name that is taken, another number of axes or labels.
    """
    for name, labels in (dims or {}).items():
        clash = [label for label in labels if label in shapes or label in RESERVED]
        if clash and not isinstance(labels, str):
            raise SpecError(
                f"joint(dims=...): the dimension {clash[0]!r} of {name} has the name of a variable. Rename it."
            )
        if name not in shapes:
            raise unknown_name(f"joint(dims={{{name!r}: ...}})", name, shapes)
        shape = shapes[name]
        if isinstance(labels, str) or len(labels) > len(shape):
            raise SpecError(f"joint(dims=...): {name} has shape {shape}, dims {labels!r}. Name one dimension per axis.")
        for size, label in zip(shape, labels, strict=False):
            if label in (coords or {}) and len(coords[label]) != size:
                raise SpecError(
                    f"joint(coords=...): {label} has {len(coords[label])} labels, but that axis of {name} has {size}."
                    " Give one label per element."
                )
    return tuple((name, tuple(labels)) for name, labels in (dims or {}).items())


def checked_coords(coords: Any, dims: Pairs, shapes: Shapes) -> Pairs:
    """Labels by dimension, as plain Python values.

    Raises:
        SpecError: a dimension that no variable has, labels that no file can hold.
    """
    known = {label for _, labels in dims for label in labels}
    for name in coords or {}:
        axis = re.fullmatch(r"(.+)_dim_(\d+)", name)  # what ArviZ calls an axis without a name
        if name not in known and not (axis and int(axis[2]) < len(shapes.get(axis[1], ()))):
            fix = f"Name an axis so, dims={{{next(iter(shapes), 'x')!r}: [{name!r}]}}."
            raise unknown_name(f"joint(coords={{{name!r}: ...}})", name, known, "dimensions", fix)
    return tuple((name, labels_of(f"joint(coords={{{name!r}: ...}})", given)) for name, given in (coords or {}).items())


def labels_of(operation: str, labels: Iterable[Any]) -> tuple[Any, ...]:
    """Labels of a dimension: numbers, strings, or times as `datetime`.

    Raises:
        SpecError: labels of several kinds, or of one that no file can hold.
    """
    array = np.asarray(labels)
    if array.dtype.kind in "Mm":
        return tuple(_in_microseconds(operation, array).tolist())
    found = array.tolist()
    if array.dtype.kind in "biufUST":
        return tuple(found)
    if all(isinstance(label, datetime.date) for label in found):
        return tuple(
            _in_microseconds(operation, np.asarray([str(label) for label in found], "datetime64[us]")).tolist()
        )
    strange = next(((i, label) for i, label in enumerate(found) if not isinstance(label, str)), None)
    if strange is not None:
        index, label = strange
        raise SpecError(
            f"{operation}: label {index} is {label!r} ({type(label).__name__}), but labels are all numbers, all"
            " strings or all times. Convert them, as by [str(label) for label in labels]."
        )
    return tuple(found)


def _in_microseconds(operation: str, array: np.ndarray) -> np.ndarray:
    """Times in a unit that Python's `datetime` holds."""
    if np.isnat(array).any():
        raise SpecError(f"{operation}: label {int(np.flatnonzero(np.isnat(array))[0])} is no time (NaT). Give it one.")
    kind = "datetime64[us]" if array.dtype.kind == "M" else "timedelta64[us]"
    return array.astype(kind)
