r"""Gaussian (mixture) variables and their Gaussian children, in numbers.

With $z \sim N(m, V)$ and $x \mid z \sim N(A z + b, S)$, $x \sim N(A m + b,\, A V A^T + S)$. A, b and S
may depend in any way on all other variables; they are computed at each evaluation. Mixtures of
Gaussians in the place of Gaussians stay mixtures. Two rules stand on this: `gmdsl.exact.rules.linear_gaussian`
and `gmdsl.exact.rules.mixture_kernel`.

Reference:
    Bishop, *Pattern Recognition and Machine Learning*, 2006, section 2.3.3.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.exact.gaussian.from_model import filled, propagated
from gmdsl.exact.gaussian.gaussian_mixture import GaussianMixture, nothing
from gmdsl.exact.missing import Missing, marginal_log_density
from gmdsl.exact.rule import Shapes
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.evaluate import total
from gmdsl.graph.factor import Deterministic, Factor, Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.order import cycle, ordered, reads_of
from gmdsl.spaces.space import Real

MOST_NUMBERS = 5000  # whose covariance is built and factorised at each evaluation


def children_log_density(model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Float[Array, ""]:
    """The log-density of a model with Gaussian variables integrated out, where `component_count` is a number."""
    above, below, rest = _sort_factors(model, hidden)
    found = _joint(model, hidden, values, above, below)
    if isinstance(found, str):
        raise ValueError(found)
    names = [child for factor in below for child in factor.children]
    point = jnp.concatenate([jnp.ravel(jnp.asarray(values[name], float)) for name in names])
    start = found.means.shape[1] - point.size
    marginal = found.marginal(np.arange(start, start + point.size))
    gaps = any(isinstance(factor, Missing) for factor in below)
    density = marginal_log_density(marginal, point) if gaps else marginal.log_density(point)
    return density + total(rest, filled(model, values))


def component_count(model: FactorGraph, hidden: tuple[str, ...], shapes: Shapes) -> int | str:
    """How many Gaussians the children of some hidden variables are a mixture of; or why they are none."""
    if all(model.spaces[name].discrete for name in hidden):
        return ""
    for name in hidden:
        if not isinstance(model.spaces[name], Real) or name in model.narrowed:
            return f"{name} in {model.spaces[name].title} is not Gaussian"
    if cycle(model.factors):
        return "the arrows form a cycle"
    above, below, _ = _sort_factors(model, hidden)
    for factor in (*above, *below):
        if not isinstance(factor, Conditional):
            return f"{factor.name} is an energy"
    makers = [child for factor in above for child in factor.children]
    for name in hidden:
        if makers.count(name) != 1:
            return f"{name} is the child of {makers.count(name)} factors with no other child"
    size = sum(math.prod(model.spaces[child].shape) for factor in (*above, *below) for child in factor.children)
    if size > MOST_NUMBERS:
        return f"{', '.join(hidden)} and what depends on them are {size} numbers, more than {MOST_NUMBERS}"
    numbers = {name: value for name, value in shapes.items() if not isinstance(value, jax.ShapeDtypeStruct)}
    arrays = {name: value for name, value in shapes.items() if name not in numbers}
    found: list[Any] = []

    def run(values: Values) -> None:
        found.append(_joint(model, hidden, {**numbers, **values}, above, below))

    jax.eval_shape(run, arrays)
    return found[0] if isinstance(found[0], str) else len(found[0].means)


def _sort_factors(
    model: FactorGraph, hidden: tuple[str, ...]
) -> tuple[tuple[Factor, ...], tuple[Factor, ...], tuple[Factor, ...]]:
    """The factors of the hidden variables, those below them, and those that do not touch them; in order."""
    reach = reads_of(model, hidden)
    terms = [factor for factor in ordered(model.factors) if not isinstance(factor, Deterministic)]
    above = tuple(f for f in terms if f.children and set(f.children) <= set(hidden))
    below = tuple(f for f in terms if f not in above and reach & {*f.parents, *f.children})
    return above, below, tuple(f for f in terms if f not in above and f not in below)


def _joint(
    model: FactorGraph, hidden: tuple[str, ...], values: Values, above: tuple[Factor, ...], below: tuple[Factor, ...]
) -> GaussianMixture | str:
    """The mixture over the hidden variables and the children, or why it is none."""
    joint, reads = nothing(), ()
    for factor in above:
        found = propagated(model, values, [factor], joint, reads)
        if found is None:
            return _why_refused(factor, reads)
        joint, reads = found, (*reads, *factor.children)
    for factor in below:
        whole = factor.base if isinstance(factor, Missing) else factor  # its gaps are integrated out of the result
        found = propagated(model, values, [whole], joint, reads)
        if found is None:
            return _why_refused(factor, hidden)
        joint = found
    return joint


def _why_refused(factor: Factor, hidden: tuple[str, ...]) -> str:
    given = f" with a mean affine in {', '.join(hidden)} and a covariance free of it" if hidden else ""
    return f"{factor.name} is not Gaussian{given}"
