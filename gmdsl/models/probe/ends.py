"""Observed values that a half-open support leaves out, and that have a density, or no part in it, all the same.

A waiting time of 0 lies at the end of the support of an exponential law, where the density is the rate. An element
whose term is masked adds nothing, whatever it is. Everything else outside of a support is refused.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.dataflow import CONSTANT, output_states
from gmdsl.distributions.closed import counted
from gmdsl.distributions.finite_scores import with_finite_scores
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor, Undirected
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
    """A model whose terms of a variable have a density at the ends of its support, where that is finite.

    Args:
        operation: what the user called, for messages.
        model: the model that observes the variable, or has it free and gets it from data.
        name: the variable.
        at: which elements of the value lie at an end.
        closed: False where the end belongs to the support, and NumPyro's density there is looked at as it is.

    Raises:
        SpecError: the density there is zero or infinite.
    """
    made = with_closed_support(model, name) if closed else model
    terms = [factor for factor in made.factors if _reads(factor, name)]
    value = jnp.asarray(model.observed[name])
    upper = ends_of(model.spaces[name].constraint).get("upper_bound") if not model.spaces[name].dynamic else None
    kinds = []
    for point in _points(made, name, terms):
        if (maker := maker_of(made, name)) is not None:
            law = maker.distribution({**point, name: value})
            density = lambda v, law=law: jnp.sum(with_finite_scores(law).log_prob(v))  # noqa: E731
            filled = jnp.where(jnp.isnan(value), jnp.nan_to_num(value), value)
            kinds.append(_kind(density, filled, at, ends_of(law.support).get("upper_bound"), closed))
        else:
            density = lambda v, point=point: sum(f.log_density({**point, name: v}) for f in terms)  # noqa: E731
            kinds.append(_kind(density, value, at, upper, closed))
    # A label may leave the density zero at some of its values; elsewhere the others would have no score either.
    wrong = next((kind for kind in kinds if kind not in ("finite", "zero")), None)
    if wrong is not None or "finite" not in kinds:
        place = tuple(int(i) for i in np.argwhere(at)[0])
        shown = f"{np.asarray(value)[place]:g}" + (f" at {place}" if place else "")
        raise SpecError(
            f"{operation}: {shown} lies at the end of the support of {name}, where the density is {wrong or 'zero'}."
            " Check the data or the distribution; a value that was rounded to the end is an interval, gm.censored."
        )
    return made


def with_closed_support[M: FactorGraph](model: M, name: str) -> M:
    """A model in which a variable has the density of its formula at the ends of its support; what has none stays."""
    maker = maker_of(model, name)
    if maker is None:
        return dataclasses.replace(
            model, factors=tuple(_closed_inside(f, name) if _reads(f, name) else f for f in model.factors)
        )
    factor = dataclasses.replace(maker, closed=True)
    factors = tuple(with_innermost(f, factor) if innermost(f) is maker else f for f in model.factors)
    return dataclasses.replace(model, factors=factors)


def _reads(factor: Factor, name: str) -> bool:
    return name in factor.children or (isinstance(factor, Undirected) and name in factor.parents)


def _closed_inside(factor: Factor, name: str) -> Factor:
    """A sum, a power or a mixture in which the laws of a variable have a density at their ends."""
    is_law = lambda node: isinstance(node, Distributed)  # noqa: E731
    laws = [node for node in jax.tree.leaves(factor, is_leaf=is_law) if is_law(node)]
    inside = {name, *(inner for inner, outer in getattr(factor, "pairs", ()) if outer == name)}
    inside = inside if any(law.child in inside for law in laws) else {law.child for law in laws}  # of another depth
    close = lambda node: (  # noqa: E731
        dataclasses.replace(node, closed=True) if is_law(node) and node.child in inside else node
    )
    return jax.tree.map(close, factor, is_leaf=is_law)


def _kind(density: Callable[[Any], Any], value: Any, at: np.ndarray, upper: Any, closed: bool) -> str:
    """What a density is at an end: finite, zero, infinite, or a limit that the formula does not give."""
    step = jnp.where(value == (jnp.inf if upper is None else upper), -NEAR, NEAR) * jnp.maximum(1.0, jnp.abs(value))
    points = (value, jnp.where(at, value + step, value), jnp.where(at, value + 100.0 * step, value))
    there, near, farther = (np.asarray(density(v)) for v in points)
    if not closed and np.isfinite(there):  # with an atom there, the law has no limit from inside
        return "finite"
    if abs(there - near) <= CLOSE * (1.0 + abs(near)):
        return "finite"
    slack = CLOSE * (1.0 + abs(near))
    if near > farther + slack or there == np.inf:
        return "infinite"
    return "zero" if near < farther - slack or np.isinf(near) else "not given by its formula"


def _points(model: FactorGraph, name: str, terms: Iterable[Factor]) -> list[dict[str, Any]]:
    """Values of all that the terms of a variable depend on, with what is known at its value."""
    read = {name, *(parent for factor in terms for parent in (*factor.parents, *factor.children))}
    needed = (read - {name}).union(*(ancestors(model.factors, other) for other in read))
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
    many = space.cardinality or 3
    value = space.first + space.gap * ((rng.integers(0, many, space.shape) + (sign < 0)) % many)  # another on each side
    return jnp.asarray(value, dtype_of(space))
