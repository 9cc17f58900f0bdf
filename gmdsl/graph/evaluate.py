"""A whole model read at one point: what factors that hold models inside need.

The compiler lowers a model once; here a model is a term among others and is evaluated as it stands.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.graph.factor import Deterministic, Factor, Values
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.graph.families import LEAST, members, steps_at, value_of
from gmdsl.graph.order import ordered
from gmdsl.graph.rows import NamedRows


def completed(model: FactorGraph, values: Values) -> dict[str, Any]:
    """The values with what is fixed in the model, and with its deterministics computed."""
    have = {**known(model), **values}
    for factor in ordered(f for f in model.factors if isinstance(f, Deterministic)):
        if isinstance(factor, Deterministic):
            have[factor.child] = factor.evaluate(have)
    return have


def log_density(model: FactorGraph, values: Values, least: int = LEAST) -> Float[Array, ""]:
    """The log-density of a model at one point, every variable given.

    Args:
        model: the factors.
        values: by name.
        least: factors of one kind are mapped from this number on.

    >>> import gmdsl as gm
    >>> float(log_density(gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2)), {"x": jnp.array([3.0, 4.0])}))
    -12.5
    """
    have, found = NamedRows(known(model), values), jnp.zeros(())
    for step in steps_at(model, least):
        factor = model.factors[members(step)[0]]
        value = value_of(factor, have) if isinstance(step, int) else step.mapped(value_of, have, {})
        if not isinstance(factor, Deterministic):
            found = found + (value if isinstance(step, int) else jnp.sum(value))
        elif isinstance(step, int):
            have[factor.child] = value
        else:
            have.add(step.children, value)
    return found


def total(factors: tuple[Factor, ...], have: Values) -> Float[Array, ""]:
    """The sum of the terms of some factors."""
    return sum((f.log_density(have) for f in factors if not isinstance(f, Deterministic)), jnp.zeros(()))
