"""The result of a run as an `xarray.DataTree` in ArviZ's schema.

Groups: `posterior`, `sample_stats`, `unconstrained_posterior`, each with its `warmup_` twin, and
`observed_data`, `constant_data`. Attributes say which versions, seed, sampler and model made it.

Reference:
    ArviZ, *InferenceData schema specification*.
"""

import datetime
import functools
from typing import Any

import jax
import numpy as np

from gmdsl.core.runtime.version import version
from gmdsl.models.model import Model


def as_tree(model: Model, groups: dict[str, dict[str, np.ndarray]], attrs: dict[str, Any]) -> Any:
    """A tree of the groups that hold something; dims and coords of the model name the axes."""
    from xarray import Dataset, DataTree

    described, basic = ("posterior", "sample_stats", "log_likelihood"), attributes()
    dims, coords = dict(model.dims), dict(model.coords)
    sampled = ("posterior", "sample_stats", "prior", "prior_predictive", "posterior_predictive", "log_likelihood",
               "predictions", "recovered")  # fmt: skip
    children = {}
    for group, arrays in groups.items():
        if not arrays:
            continue
        plain = group.removeprefix("warmup_")
        leading = ("chain", "draw") if plain in sampled or plain == "unconstrained_posterior" else ()
        leading = ("chain",) if plain == "tuned" else leading
        named = {} if plain == "unconstrained_posterior" else dims
        data = _dataset(arrays, leading, named, coords, attrs if group in described else basic)
        children[group] = DataTree(data)
    tree = DataTree(Dataset(attrs=attrs))
    tree.children = children  # `from_dict` would copy them all
    return tree


def constants(model: Model) -> dict[str, dict[str, np.ndarray]]:
    """The groups `observed_data` and `constant_data` of a model."""
    observed = {name: np.array(value) for name, value in model.observed.items()}
    fixed = {name: np.array(value) for name, value in model.data.items()}
    return {"observed_data": observed, "constant_data": fixed}


def attributes() -> dict[str, Any]:
    """Who made a group, and when."""
    own = version()
    return {
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
        "creation_library": "gmdsl",
        "creation_library_version": own,
        "creation_library_language": "Python",
        "inference_library": "gmdsl",
        "inference_library_version": own,
        "jax_version": jax.__version__,
    }


def _dataset(arrays: dict[str, Any], leading: Any, dims: Any, coords: Any, attrs: dict[str, Any]) -> Any:
    import xarray

    variables, axes = {}, {}
    for name, array in arrays.items():
        shape = array.shape[len(leading) :]
        labels = list(dims.get(name, ()))[: len(shape)]
        labels += [f"{name}_dim_{i}" for i in range(len(labels), len(shape))]
        variables[name] = ((*leading, *labels), np.asarray(array))  # no `Variable`, which would be copied
        for label, size in zip(labels, shape, strict=True):
            axes[label] = _axis(label, np.asarray(coords[label])) if label in coords else _numbers(label, size)
    if leading:
        first = next(iter(arrays.values()))
        axes |= {axis: _numbers(axis, first.shape[i]) for i, axis in enumerate(leading)}
    values = {label: axis[0] for label, axis in axes.items()}
    indexes = {label: axis[1] for label, axis in axes.items()}
    return xarray.Dataset(_ordered(variables), coords=xarray.Coordinates(values, indexes=indexes), attrs=attrs)


def _ordered(variables: dict[str, Any]) -> dict[str, Any]:
    """The variables, those of more axes first where that makes all axes come in one order.

    ArviZ labels a table by the axes in the order of their first appearance: a matrix whose axes stand the other way
    round there, because a vector before it has its last one, gets the labels of its transpose.
    """
    return variables if _agree(variables) else dict(sorted(variables.items(), key=lambda item: -len(item[1][0])))


def _agree(variables: dict[str, Any]) -> bool:
    place: dict[Any, int] = {}
    for dims in (kinds := dict.fromkeys(dims for dims, _ in variables.values())):
        for axis in dims:
            place.setdefault(axis, len(place))
    orders = [[place[axis] for axis in dims] for dims in kinds]
    return all(order == sorted(order) for order in orders)


def _axis(label: str, values: np.ndarray) -> tuple[Any, Any]:
    """The values along an axis, and their index."""
    import xarray

    held = xarray.Coordinates({label: xarray.Variable(label, values)})
    return held[label].variable, held.xindexes[label]


@functools.lru_cache(maxsize=256)
def _numbers(label: str, size: int) -> tuple[Any, Any]:
    """An axis that counts from 0; made once, as xarray spends more time on it than on the draws."""
    return _axis(label, np.arange(size))
