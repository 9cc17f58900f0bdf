r"""Energies that are quadratic: $\exp(-E(u)) \propto N(u; m, C)$, recognised by a gradient that is affine.

With $g(u) = \nabla \log p(u) = b - \Lambda u$, proved affine from the traced program, $C = \Lambda^{-1}$ and $m = C b$.
The normalising constant follows from the value at zero,
$\log Z = \log p(0) + \frac12 b^T C b + \frac12 \log |2 \pi C|$.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float

from gmdsl.core.jaxprs.affine import AFFINE, affinity
from gmdsl.exact.gaussian.from_model import factor_form
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.evaluate import completed
from gmdsl.graph.factor import Deterministic, Factor, Values
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.graph.factors.power import Power
from gmdsl.spaces.space import Real


class Quadratic(NamedTuple):
    """A Gaussian up to its constant.

    Attributes:
        log_z: the logarithm of the integral; NaN where the energy is not bounded from below in all directions.
        mean: over the variables, each flattened, one after the other.
        covariance: of the same; NaN as `log_z` is.
    """

    log_z: Float[Array, ""]
    mean: Float[Array, " dim"]
    covariance: Float[Array, "dim dim"]


def quadratic(model: FactorGraph) -> Quadratic | None:
    """The Gaussian that a model is over its free variables up to a constant; None where that is not proved.

    Args:
        model: without open inputs; works under `jax.jit`.

    >>> import gmdsl as gm
    >>> found = quadratic(gm.energy(lambda x: 2.0 * x**2 - x, x=gm.Real()))
    >>> found.mean.tolist(), found.covariance.tolist()
    ([0.25], [[0.25]])
    """
    free = model.free
    if not free or model.inputs or model.narrowed or any(type(model.spaces[name]) is not Real for name in free):
        return None
    sizes = [math.prod(model.spaces[name].shape) for name in free]
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    values = known(model)

    def density(flat: Array) -> Array:
        parts = zip(free, sizes, ends, strict=True)
        own = {name: flat[end - size : end].reshape(model.spaces[name].shape) for name, size, end in parts}
        have = completed(model, {**values, **own})
        return sum((_term(f, have) for f in model.factors if not isinstance(f, Deterministic)), jnp.zeros(()))

    slope, zero = jax.grad(density), jnp.zeros(ends[-1])
    try:
        if affinity(slope, zero) != AFFINE:
            return None
    except TypeError:  # a term without a derivative
        return None
    precision, pull = -jax.jacfwd(slope)(zero), slope(zero)
    lower = jnp.linalg.cholesky(precision)
    mean = cho_solve((lower, True), pull)
    spread = 0.5 * len(zero) * math.log(2.0 * math.pi) - jnp.sum(jnp.log(jnp.diagonal(lower)))
    return Quadratic(density(zero) + 0.5 * pull @ mean + spread, mean, cho_solve((lower, True), jnp.eye(len(zero))))


def _term(factor: Factor, values: Values) -> Float[Array, ""]:
    """The term of a factor; of a Gaussian as a square, without the tests for infinite values that hide one."""
    if isinstance(factor, Power):
        return factor.exponent * _term(factor.factor, values)
    form = factor_form(factor, values) if isinstance(factor, Conditional) else None
    if form is None or len(form.means) > 1:
        return factor.log_density(values)
    child = jnp.concatenate([jnp.ravel(jnp.asarray(values[name], float)) for name in factor.children])
    lower = jnp.linalg.cholesky(form.covariances[0])
    white = solve_triangular(lower, child - form.means[0], lower=True)
    return -0.5 * jnp.sum(white**2 + math.log(2.0 * math.pi)) - jnp.sum(jnp.log(jnp.diagonal(lower)))
