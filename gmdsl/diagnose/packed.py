"""Draws of many variables as few arrays, for statistics that xarray would compute name by name."""

from collections.abc import Callable
from typing import Any

import numpy as np

LEAST = 16  # variables of one shape are put together from this number on


def packed(data: Any) -> tuple[Any, dict[str, tuple[str, int | None]]]:
    """A data set in which variables of one shape are one, and where each is found in it.

    Args:
        data: a data set of draws, axes chain and draw among them.

    Returns:
        The other data set, whose variables of many have a last axis for these; and for each name of `data` the name
        there and the place on that axis (None for those that stay what they are).

    >>> import xarray
    >>> draws = xarray.Dataset({f"x{i}": (("chain", "draw"), np.full((2, 3), i)) for i in range(20)})
    >>> found, where = packed(draws)
    >>> found["x0..."].shape, where["x7"]
    ((2, 3, 20), ('x0...', 7))
    """
    import xarray

    alike: dict[Any, list[Any]] = {}
    for name in data.data_vars.keys():  # noqa: SIM118, the items would be built one by one
        variable = data.variables[name]
        alike.setdefault((variable.dims, variable.shape, variable.dtype), []).append(name)
    blocks, where = {}, {}
    for (dims, _, _), names in alike.items():
        if len(names) < LEAST:
            where |= {name: (name, None) for name in names}
            continue
        block = f"{names[0]}..."
        values = np.stack([data.variables[name].values for name in names], axis=-1)
        blocks[block] = ((*dims, f"{block} variable"), values)
        where |= {name: (block, place) for place, name in enumerate(names)}
    if not blocks:
        return data, where
    together = [name for name, (_, place) in where.items() if place is not None]
    return xarray.Dataset({**data.drop_vars(together).data_vars, **blocks}, coords=data.coords), where


def of_each(function: Callable[[Any], Any], data: Any) -> dict[str, np.ndarray]:
    """A statistic of every variable of a data set, by name.

    Args:
        function: from a data set to one with the same variables, their draws reduced, such as `arviz_stats.rhat`.
        data: a data set of draws.
    """
    together, where = packed(data)
    found = function(together)
    values = {name: np.asarray(found[name].values) for name in {block for block, _ in where.values()}}
    return {
        name: values[block] if place is None else values[block][..., place] for name, (block, place) in where.items()
    }
