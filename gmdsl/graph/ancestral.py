"""Ancestral sampling: draw each variable given its parents, in order."""

from typing import Any

import jax
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.core.runtime.precision import full_precision
from gmdsl.graph.capability import capabilities
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Values
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.graph.order import ordered


@full_precision
def draw(model: FactorGraph, key: Array, shape: tuple[int, ...] = ()) -> dict[str, Array]:
    """Independent draws of all random and deterministic variables, `shape` of them."""
    offer = capabilities(model)
    if not offer.drawable:
        raise SpecError(f"sample(...): {offer.reasons['drawable']}. gm.sample runs a sampler on it instead.")
    one = _one_draw(model)
    for size in reversed(shape):
        one = _repeated(one, size)
    return one(key)


@full_precision
def complete(model: FactorGraph, key: Array, values: Values, redraw: tuple[str, ...] = ()) -> dict[str, Any]:
    """Adds to `values` a draw of every variable that is missing or listed in `redraw`, in order."""
    have = {name: value for name, value in {**known(model), **values}.items() if name not in redraw}
    factors = ordered(model.factors)
    keys = jax.random.split(key, len(factors))
    for factor_key, factor in zip(keys, factors, strict=True):
        if isinstance(factor, Deterministic):
            have[factor.child] = factor.evaluate(have)
        elif isinstance(factor, Conditional) and any(child not in have for child in factor.children):
            drawn = factor.draw(factor_key, have)
            have.update({child: value for child, value in drawn.items() if child not in have})
    return have


def _one_draw(model: FactorGraph) -> Any:
    names = [name for name, _ in model.declared]

    def one(key: Array) -> dict[str, Array]:
        values = complete(model, key, {})
        return {name: values[name] for name in names}

    return one


def _repeated(one: Any, size: int) -> Any:
    return lambda key: jax.vmap(one)(jax.random.split(key, size))
