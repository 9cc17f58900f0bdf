"""Names of the coordinates of the flat vector, for errors and for the tree."""

from typing import Any

import numpy as np

LISTED = 4  # coordinates that an error shows


def labels(target: Any) -> list[str]:
    """One name per coordinate: the variable, with its index where it has several.

    >>> import gmdsl as gm
    >>> labels(gm.compile(gm.energy(lambda a, b: a**2 + b @ b, a=gm.Positive(), b=gm.Real(2))).target)
    ['a', 'b[0]', 'b[1]']
    """
    names = []
    for slot in target.slots:
        shape = slot.space.free_shape
        indices = [",".join(map(str, index)) for index in np.ndindex(*shape)]
        names += [f"{slot.name}[{index}]" if shape else slot.name for index in indices]
    return names


def largest(target: Any, size: Any) -> str:
    """The coordinates where a vector is largest in size, as text: those above half of the largest."""
    size = np.abs(np.asarray(size, float))
    order = np.argsort(-size, kind="stable")
    names = labels(target)
    chosen = [names[i] for i in order if size[i] >= 0.5 * size.max()]
    return ", ".join(chosen[:LISTED]) + (f" and {len(chosen) - LISTED} more" if len(chosen) > LISTED else "")
