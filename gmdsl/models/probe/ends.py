"""Observed values that a half-open support leaves out, and that have a density, or no part in it, all the same.

A waiting time of 0 lies at the end of the support of an exponential law, where the density is the rate. An element
whose term is masked adds nothing, whatever it is. Everything else outside of a support is refused.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.dataflow import CONSTANT, output_states
from gmdsl.distributions.closed import counted
from gmdsl.distributions.finite_scores import with_finite_scores
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.wrapped import innermost, with_innermost
from gmdsl.graph.order import ancestors, ordered
from gmdsl.spaces.bijections import decoded
from gmdsl.spaces.from_constraint import ends_of
from gmdsl.spaces.space import Space, dtype_of

POINTS = 4  # values of the parents at which the density at an end is looked at, on both sides of a middle
NEAR = 1e-6  # a point just inside, from the end, of its size or of one
CLOSE = 1e-2  # how far the log-density at the end may be from that just inside


def maker_of(model: FactorGraph, name: str) -> Distributed | None:
    """The factor with a NumPyro distribution that makes a variable, without what is around it."""
    inner = next((innermost(f) for f in model.factors if name in f.children), None)
    return inner if isinstance(inner, Distributed) and name not in model.narrowed else None


def taken_out(factor: Distributed, moving: dict[str, Any], given: dict[str, Any], shape: Any) -> Any:
    """Which elements of an observed value have no term, by a mask that no random parent moves; none where it does."""
    names = list(moving)

    def without(*parents: Any) -> Any:
        mask = counted(factor.distribution({**given, **dict(zip(names, parents, strict=True))}))
        return jnp.zeros(shape, bool) if mask is None else ~jnp.broadcast_to(mask, shape)

    arrays = list(moving.values())
    if names and output_states(without, arrays, ["moving"] * len(names), lambda *_: "moving") is not CONSTANT:
        return np.zeros(shape, bool)
    return np.asarray(jax.jit(without)(*(jnp.zeros(a.shape, a.dtype) for a in arrays)))


def at_end(constraint: Any, value: Any) -> Any:
    """Which elements of a value are an end of a support; none where it has no ends."""
    found = jnp.zeros(jnp.shape(value), bool)
    for end in ends_of(constraint).values():
        found = found | (value == jnp.asarray(end, jnp.result_type(float)))
    return found


def with_ends[M: FactorGraph](operation: str, model: M, name: str, at: np.ndarray, *, closed: bool = True) -> M:
    """A model whose factor of a variable has a density at the ends of its support, where that is finite.

    Args:
        operation: what the user called, for messages.
        model: the model that observes the variable, or has it free and gets it from data.
        name: the variable, made by a NumPyro distribution.
        at: which elements of the value lie at an end.
        closed: False where the end belongs to the support, and NumPyro's density there is looked at as it is.

    Raises:
        SpecError: the density there is zero or infinite.
    """
    maker = maker_of(model, name)
    assert maker is not None
    factor = dataclasses.replace(maker, closed=True) if closed else maker
    value = jnp.asarray(model.observed[name])
    value = jnp.where(jnp.isnan(value), jnp.nan_to_num(value), value)
    kinds = [_kind(factor, {**point, name: value}, at) for point in _points(model, name)]
    # A label may leave the density zero at some of its values; elsewhere the others would have no score either.
    wrong = next((kind for kind in kinds if kind not in ("finite", "zero")), None)
    if wrong is not None or "finite" not in kinds:
        place = tuple(int(i) for i in np.argwhere(at)[0])
        shown = f"{np.asarray(value)[place]:g}" + (f" at {place}" if place else "")
        raise SpecError(
            f"{operation}: {shown} lies at the end of the support of {name}, where the density is {wrong or 'zero'}."
            " Check the data or the distribution; a value that was rounded to the end is an interval, gm.censored."
        )
    return with_closed_support(model, name) if closed else model


def with_closed_support[M: FactorGraph](model: M, name: str) -> M:
    """A model in which a variable has the density of its formula at the ends of its support; what has none stays."""
    maker = maker_of(model, name)
    if maker is None or maker.closed:
        return model
    factor = dataclasses.replace(maker, closed=True)
    factors = tuple(with_innermost(f, factor) if innermost(f) is maker else f for f in model.factors)
    return dataclasses.replace(model, factors=factors)


def _kind(factor: Distributed, values: dict[str, Any], at: np.ndarray) -> str:
    """What a density is at an end: finite, zero, infinite, or a limit that the formula does not give."""
    value = values[factor.child]
    law = factor.distribution(values)
    upper = ends_of(law.support).get("upper_bound", jnp.inf)
    step = jnp.where(value == upper, -NEAR, NEAR) * jnp.maximum(1.0, jnp.abs(value))
    points = (value, jnp.where(at, value + step, value), jnp.where(at, value + 100.0 * step, value))
    there, near, farther = (np.asarray(jnp.sum(with_finite_scores(law).log_prob(v))) for v in points)
    if not factor.closed and np.isfinite(there):  # with an atom there, the law has no limit from inside
        return "finite"
    if abs(there - near) <= CLOSE * (1.0 + abs(near)):
        return "finite"
    slack = CLOSE * (1.0 + abs(near))
    if near > farther + slack or there == np.inf:
        return "infinite"
    return "zero" if near < farther - slack or np.isinf(near) else "not given by its formula"


def _points(model: FactorGraph, name: str) -> list[dict[str, Any]]:
    """Values of all that a variable depends on, with what is known at its value."""
    needed = ancestors(model.factors, name)
    return [_point(model, needed, np.random.default_rng(i // 2), 1 - 2 * (i % 2)) for i in range(POINTS)]


def _point(model: FactorGraph, needed: set[str], rng: np.random.Generator, sign: int) -> dict[str, Any]:
    have, spaces = known(model), {**model.spaces, **dict(model.inputs)}
    for name, parameter in model.params.items():  # which learning moves
        moved = parameter.free + sign * jnp.asarray(rng.normal(size=np.shape(parameter.free)))
        have[name] = decoded(parameter.space, moved)[0]
    made = {child for factor in model.factors for child in factor.children}
    for name in sorted(needed & spaces.keys() - made - have.keys()):
        have[name] = decoded(spaces[name], _free(rng, spaces[name], sign))[0]
    for factor in ordered(model.factors):
        lacking = [child for child in factor.children if child in needed and child not in have]
        if lacking and isinstance(factor, Deterministic):
            have[factor.child] = factor.evaluate(have)
        elif lacking and isinstance(factor, Conditional):
            free = {child: _free(rng, spaces[child], sign) for child in factor.children if child not in have}
            have |= factor.decode(have, free)[0]
    return have


def _free(rng: np.random.Generator, space: Space, sign: int) -> Any:
    """An unconstrained value, of a discrete space a value."""
    if not space.discrete:
        return jnp.asarray(sign * rng.normal(size=space.free_shape), dtype_of(space))
    value = space.first + space.gap * rng.integers(0, space.cardinality or 3, space.shape)
    return jnp.asarray(value, dtype_of(space))
