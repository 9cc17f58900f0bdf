r"""The support of a variable whose bounds depend on labels that are summed out: $\bigcup_k \text{supp}\, p(x \mid k)$.

It is held as one interval, from the lowest bound under any label to the highest; inside of it the density is zero where
no label reaches.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.core.jaxprs.dataflow import CONSTANT, UNKNOWN, output_states
from gmdsl.exact.gaussian.from_model import filled
from gmdsl.graph.factor import Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.wrapped import innermost
from gmdsl.graph.order import ancestors
from gmdsl.spaces.from_constraint import base_of, ends_of, space_of
from gmdsl.spaces.space import Space
from gmdsl.spaces.states import element_states, joint_states

MOST_STATES = 4096  # that are looked at together; of more, elements are looked at one by one


def united_space(model: FactorGraph, hidden: tuple[str, ...], name: str, shapes: Values) -> Space | None:
    """The space of a child once labels are summed out; its bounds still move where other variables move them.

    Args:
        model: the factors that touch a hidden variable.
        hidden: the labels.
        name: a variable of the model whose bounds move.
        shapes: shapes (or numbers) of everything else that is read.

    Returns:
        None where the supports are no intervals, or the labels too many to be listed.
    """
    states, space = _states(model, hidden, name), model.spaces[name]
    if states is None:
        return None
    abstract = {n: v for n, v in shapes.items() if isinstance(v, jax.ShapeDtypeStruct)}
    numbers = {n: v for n, v in shapes.items() if n not in abstract}

    def ends(*arrays: Array) -> dict[str, Array]:
        return _ends(model, name, {**numbers, **dict(zip(abstract, arrays, strict=True))}, states)

    inputs = list(abstract.values())
    found = output_states(ends, inputs, [UNKNOWN] * len(inputs), lambda *_: UNKNOWN)
    if not found:
        return None
    moving = any(state != CONSTANT for state in found.values())
    with jax.ensure_compile_time_eval():  # bounds that depend on labels alone are numbers
        bounds = jax.jit(ends)(*(jnp.zeros(aval.shape, aval.dtype) for aval in inputs))
    known = bounds if moving else {side: _shared(end) for side, end in bounds.items()}
    return space_of(_constraint(known, space.discrete), space.shape, moving=moving)


def united_support(model: FactorGraph, hidden: tuple[str, ...], name: str, values: Values) -> Any:
    """The NumPyro constraint around the supports under all labels, at given values of the other variables."""
    states = _states(model, hidden, name)
    assert states is not None
    return _constraint(_ends(model, name, values, states), model.spaces[name].discrete)


def _states(model: FactorGraph, hidden: tuple[str, ...], name: str) -> dict[str, Array] | None:
    """The states of the labels that the bounds of a child may depend on, one per row; None where they are too many."""
    makers = [f for f in model.factors if name in f.children]
    if len(makers) != 1 or not isinstance(innermost(makers[0]), Distributed):
        return None
    above = {*makers[0].parents}.union(*(ancestors(model.factors, parent) for parent in makers[0].parents))
    spaces = {label: model.spaces[label] for label in hidden if label in above}
    if not spaces or any(not space.discrete or space.cardinality is None for space in spaces.values()):
        return None
    together = joint_states(spaces, MOST_STATES)
    if together is None and len({space.shape for space in spaces.values()}) == 1:
        rows = element_states(spaces)  # one by one, as supports are taken
        return {label: jax.vmap(lambda v, s=spaces[label]: jnp.full(s.shape, v))(row) for label, row in rows.items()}
    return together


def _ends(model: FactorGraph, name: str, values: Values, states: dict[str, Array]) -> dict[str, Array]:
    """The lowest and the highest bound under any label, where there is one; empty where supports are no intervals."""
    maker: Any = next(innermost(f) for f in model.factors if name in f.children)

    def one(state: dict[str, Array]) -> dict[str, Array]:
        support = maker.distribution(filled(model, {**values, **state})).support
        return {} if base_of(support).event_dim else {side: jnp.asarray(end) for side, end in ends_of(support).items()}

    outward = {"lower_bound": jnp.min, "upper_bound": jnp.max}
    return {side: outward[side](ends, axis=0) for side, ends in jax.vmap(one)(states).items()}


def _constraint(ends: dict[str, Any], discrete: bool) -> Any:
    from numpyro.distributions import constraints

    low: Any = ends.get("lower_bound")
    high: Any = ends.get("upper_bound")
    if low is None:
        return constraints.less_than(high)
    if high is None:
        return constraints.integer_greater_than(low - 1) if discrete else constraints.greater_than(low)
    return constraints.integer_interval(low, high) if discrete else constraints.interval(low, high)


def _shared(end: Array) -> Any:
    """A bound as a number where all elements have the same one."""
    array = np.asarray(end)
    return array.reshape(-1)[0].item() if (array == array.reshape(-1)[0]).all() else array
