"""Elements that are new at other rows: which can be drawn alone, and which depend on those that were there."""

from typing import Any

import jax
import numpy as np

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor_graph import shapes_of
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.time_series import Scan
from gmdsl.graph.order import reads_of
from gmdsl.models.model import Model
from gmdsl.spaces.space import dtype_of


def check_extended(fresh: Model, model: Model, names: tuple[str, ...], going_on: tuple[str, ...]) -> None:
    """Refuses variables whose old draws and new elements cannot stand side by side.

    Args:
        fresh: the model at the new data.
        model: the model that was sampled.
        names: the variables with more elements.
        going_on: those of them whose new elements are drawn given the old ones.

    Raises:
        SpecError: a variable that is not free, has no more elements or fewer, whose elements depend on each other in
            another way, or whose law reads other data at the old elements.
    """
    for name in names:
        operation = f"predict(extend=[{name!r}])"
        if name not in model.free:
            raise unknown_name(operation, name, model.free, "free variables")
        old, new = model.spaces[name].shape, fresh.spaces[name].shape
        grown = [axis for axis, (before, after) in enumerate(zip(old, new, strict=True)) if before != after]
        if len(grown) != 1 or new[grown[0]] < old[grown[0]]:
            raise SpecError(
                f"{operation}: it has shape {new} at the new data and {old} in the draws. Its size along one axis has"
                " to grow, as where its distribution is expanded by the size of some data."
            )
        maker = next(factor for factor in fresh.factors if name in factor.children)
        alone = isinstance(maker, Conditional) and (isinstance(maker, Distributed) or maker.stepwise)
        apart = alone and grown[0] < (_batch_rank(fresh, maker, name) or 0)
        if not isinstance(maker, Conditional) or not (apart or name in going_on):
            raise SpecError(
                f"{operation}: its elements depend on each other along that axis, so new ones cannot be drawn alone."
                f" Draw all of it anew by resample=[{name!r}]."
            )
        reads = maker.parents_of(name, any_point(model))
        _check_data(operation, fresh, model, reads, old[grown[0]], name in going_on)


def dependent(fresh: Model, model: Model, names: tuple[str, ...], given: tuple[str, ...]) -> tuple[str, ...]:
    """Variables whose elements at the new rows depend on those at the old ones, as those of a Gaussian process do.

    Args:
        fresh: the model at the new data.
        model: the model that was sampled.
        names: the variables to look at.
        given: data that have new values; their rows are new ones even where they are equal.
    """
    reads = reads_of(model, given)
    return tuple(name for name in names if _depends(fresh, model, name, given, reads))


def _depends(fresh: Model, model: Model, name: str, given: tuple[str, ...], reads: set[str]) -> bool:
    maker = next((factor for factor in fresh.factors if name in factor.children), None)
    old, new = model.spaces[name].shape, fresh.spaces[name].shape
    rank = None if maker is None else _batch_rank(fresh, maker, name)
    if maker is None or rank is None:
        return isinstance(maker, Scan) and (old != new or bool(reads & set(maker.parents)))
    sizes = [np.shape(fresh.data[n])[:1] for n in given if n in fresh.data]
    read = [bool(reads_of(model, (n,)) & set(maker.parents)) for n in given if n in fresh.data]
    rows = [size for size, above in zip(sizes, read, strict=True) if above]
    return any(old[axis] != new[axis] or (new[axis],) in rows for axis in range(rank, len(new)))


def joined(old: np.ndarray, anew: Any) -> np.ndarray:
    """Draws of a larger variable: the old elements come first on the axis that has grown."""
    found = np.array(anew)
    found[tuple(slice(size) for size in old.shape)] = old
    return found


def _batch_rank(fresh: Model, maker: Any, name: str) -> int | None:
    """How many axes of a variable number independent elements; None where that is not known."""
    found: list[int] = []
    known = shapes_of(fresh)
    if not isinstance(maker, Distributed):
        if not isinstance(maker, Conditional):
            return None
        point = {n: np.zeros(v.shape, v.dtype) if isinstance(v, jax.ShapeDtypeStruct) else v for n, v in known.items()}
        return maker.batch_rank(name, {**point, **fresh.data})
    shapes = {v: known[v] for v in maker.parents if isinstance(known[v], jax.ShapeDtypeStruct)}
    numbers = {v: known[v] for v in maker.parents if v not in shapes}
    jax.eval_shape(lambda values: found.append(len(maker.distribution({**numbers, **values}).batch_shape)), shapes)
    return found[0]


def any_point(model: Model) -> dict[str, Any]:
    """Values of all variables and data, of the right shapes and kinds."""
    return {**{name: np.zeros(space.shape, dtype_of(space)) for name, space in model.declared}, **model.data}


def _check_data(operation: str, fresh: Model, model: Model, reads: set[str], size: int, checked: bool) -> None:
    """Refuses data above a variable that differ where its old elements are.

    Args:
        operation: what the user called, for messages.
        fresh: the model at the new data.
        model: the model that was sampled.
        reads: what the law of the variable reads.
        size: how many elements there were.
        checked: whether that the law is the same at the old elements is looked at later, at every draw; then what is
            computed from rows may be read.
    """
    changed = [name for name, value in fresh.data.items() if not np.array_equal(value, model.data[name])]
    for name in changed:
        direct = checked or name in reads
        if reads & reads_of(model, (name,)) and not (
            direct and np.array_equal(fresh.data[name][:size], model.data[name][:size])
        ):
            raise SpecError(
                f"{operation}: its law reads {name}, whose first {size} rows are others now. Keep these rows, and add"
                " the new ones behind them."
            )
