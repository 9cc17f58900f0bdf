"""What prediction and scoring share: the draws of a tree as points of a model, completed by ancestral draws."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.flat_target import Interned
from gmdsl.core.errors import SpecError
from gmdsl.exact.imputed import has_gaps, imputed
from gmdsl.graph.ancestral import complete
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Undirected
from gmdsl.models.model import Model
from gmdsl.run.predictive.in_energies import check_states, completed_in_energies, in_energies

AT_ONCE = 64  # points side by side, where gaps are drawn


def check_drawn(operation: str, model: Model, names: tuple[str, ...]) -> None:
    """Refuses variables that are not drawn by one conditional each.

    Raises:
        SpecError: a name with no conditional or several, or in an energy that cannot be summed over states.
    """
    if in_energies(model, names):
        check_states(operation, model, names)
        return
    makers = [c for f in model.factors if isinstance(f, Conditional) and f.drawable for c in f.children]
    for name in names:
        if makers.count(name) != 1:
            raise SpecError(
                f"{operation}(...): {name} is not drawn by exactly one conditional. Sample the joint by gm.sample."
            )


@functools.partial(jax.jit, static_argnums=(1, 4))
def completed(interned: Interned, redraw: tuple[str, ...], keys: Any, values: Any, impute: bool) -> Any:
    """Points completed by ancestral draws, side by side.

    Args:
        interned: the model.
        redraw: variables that are drawn anew.
        keys: one for each point.
        values: of free variables, by name.
        impute: whether gaps of observed variables are drawn given the rest of them.
    """
    model = interned.model
    gaps = impute and any(has_gaps(factor) for factor in model.factors)

    def one(key: Any, values: Any) -> Any:
        draw = completed_in_energies if in_energies(model, redraw) else complete
        have = draw(model, key, values, redraw)
        if gaps:
            have |= _impute(model, key, complete(model, key, values), have)
        return {name: have[name] for name in model.spaces}

    if gaps:  # each point may hold a covariance of all that is observed
        return jax.lax.map(lambda point: one(*point), (keys, values), batch_size=AT_ONCE)
    return jax.vmap(one)(keys, values)


def _impute(model: Model, key: Any, seen: Mapping[str, Any], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """The observed variables with gaps: drawn given what was seen where they are missing, and anew elsewhere.

    Args:
        model: the conditioned model.
        key: of the draws.
        seen: a point with the observed values.
        drawn: a point with replicates of them.
    """
    found: dict[str, Any] = {}
    for number, factor in enumerate(model.factors):
        found |= imputed(jax.random.fold_in(key, number), factor, seen)
    gaps = {name: jnp.isnan(model.observed[name]) for name in found if name in model.observed}
    return {name: jnp.where(where, found[name], drawn[name]) for name, where in gaps.items()}


def posterior_points(operation: str, tree: Any, model: Model) -> tuple[dict[str, np.ndarray], tuple[int, int]]:
    """The free variables of all draws, flattened over (chain, draw), and that shape."""
    if "posterior" not in tree.children:
        raise SpecError(f"{operation}(...): the tree has no posterior. Pass the result of gm.sample.")
    posterior = tree["posterior"]
    free = {}
    for name in model.free:
        if name not in posterior:
            raise SpecError(f"{operation}(...): the tree has no {name}; it was sampled from another model.")
        free[name] = np.asarray(posterior[name].transpose("chain", "draw", ...))
        if free[name].shape[2:] != model.spaces[name].shape:
            raise SpecError(
                f"{operation}(...): {name} has shape {free[name].shape[2:]} in the tree, {model.spaces[name].shape} in"
                " the model; it was sampled from another model."
            )
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    return {name: value.reshape(-1, *value.shape[2:]) for name, value in free.items()}, shape


def with_group(tree: Any, group: str, other: Any) -> Any:
    """The tree with one group taken from another tree."""
    from xarray import DataTree

    children = {f"/{name}": child for name, child in tree.children.items() if name != group}
    return DataTree.from_dict({"/": tree.to_dataset(), **children, f"/{group}": other[group]})


def refuse_energies(operation: str, model: Model, names: tuple[str, ...]) -> None:
    """Refuses variables that sit in an energy."""
    called = operation if operation.endswith(")") else f"{operation}(...)"
    for factor in model.factors:
        touched = set(factor.parents) & set(names)
        if isinstance(factor, Undirected) and touched:
            raise SpecError(
                f"{called}: {sorted(touched)[0]} is in the energy {factor.name}, which cannot be drawn from."
                " Sample the joint by gm.sample instead."
            )
