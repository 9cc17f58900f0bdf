r"""Adams methods on unequal steps: what was seen is interpolated by a polynomial, which is integrated.

For $y' = f$ the step is $y(b) = y(a) + \sum_j f_j \int_a^b w(u)\, \ell_j(u)\, du$ with the Lagrange polynomials
$\ell_j(u) = \prod_{i \ne j} (u - u_i) / (u_j - u_i)$ of the nodes at which f was seen. For $y' = f - y$, whose linear
part is solved exactly, the density is $w(u) = e^{u - b}$ and the first term is $e^{a - b}\, y(a)$. Nodes up to a
predict (Adams-Bashforth); with b among them they correct (Adams-Moulton). Integrals are taken by Gauss's rule, exact
for the polynomials, so there are no tables of coefficients and no cancellation in short steps.

Reference:
    Hairer, Nørsett, Wanner, *Solving ordinary differential equations I*, 1993 (section III.5);
    Hochbruck, Ostermann, *Exponential integrators*, 2010.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gmdsl.diffusion.process import Scalar

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(16)  # of Gauss's rule on [-1, 1]
LONGEST = 16.0  # units of log-SNR: over a longer step no polynomial is believed
SHORTEST = 1e-3  # part of a step: a gap between nodes below it is none


class Past(NamedTuple):
    """The last values and the nodes at which they were seen, newest first.

    The first `known` are real; of these a node at minus infinity, pure noise, is left out of polynomials.
    """

    values: Float[Array, "order dim"]
    nodes: Float[Array, " order"]
    known: Int[Array, ""]

    @staticmethod
    def empty(order: int, x: Float[Array, " dim"]) -> "Past":
        """Room for as many values as the order."""
        return Past(jnp.zeros((order, *x.shape), x.dtype), jnp.zeros(order, x.dtype), jnp.zeros((), int))

    def remember(self, value: Float[Array, " dim"], node: Scalar) -> "Past":
        """One more value; the oldest is forgotten."""
        values = jnp.concatenate([value[None], self.values[:-1]])
        nodes = jnp.concatenate([jnp.asarray(node, self.nodes.dtype)[None], self.nodes[:-1]])
        return Past(values, nodes, jnp.minimum(self.known + 1, len(self.nodes)))

    def with_end(self, value: Float[Array, " dim"], node: Scalar) -> "Past":
        """One more value, with nothing forgotten: what a corrector interpolates."""
        values = jnp.concatenate([value[None], self.values])
        nodes = jnp.concatenate([jnp.asarray(node, self.nodes.dtype)[None], self.nodes])
        return Past(values, nodes, self.known + 1)


def adams_weights(
    density: Callable[[Array], Array],
    history: Past,
    start: Scalar,
    end: Scalar,
    place: Callable[[Array], Array] = lambda u: u,
) -> Float[Array, " order"]:
    r"""$\int_a^b w(u)\, \ell_j(v(u))\, du$ for the real values of a history; 0 for the others.

    Args:
        density: w at an array of points.
        history: whose nodes count; one node makes a constant.
        start: a.
        end: b.
        place: v, what the polynomials are of.

    >>> seen = Past(jnp.zeros((2, 1)), jnp.array([1.0, 0.0]), jnp.asarray(2))
    >>> adams_weights(jnp.ones_like, seen, 1.0, 2.0).round(4).tolist()  # 3/2 and -1/2, as in the books
    [1.5, -0.5]
    """
    half = 0.5 * (end - start)
    at = start + half * (jnp.asarray(POINTS, history.nodes.dtype) + 1.0)
    return (half * jnp.asarray(WEIGHTS, history.nodes.dtype) * density(at)) @ _lagrange(history, place(at))


def exponential_weights(history: Past, start: Scalar, end: Scalar) -> Float[Array, " order"]:
    r"""$\int_a^b e^{u - b}\, \ell_j(u)\, du$; the newest value alone over a step that is long or endless.

    >>> seen = Past(jnp.zeros((2, 1)), jnp.array([1.0, 0.0]), jnp.asarray(2))
    >>> exponential_weights(seen, 1.0, jnp.inf).tolist()
    [1.0, 0.0]
    """
    length = end - start
    reach = jnp.where(length < LONGEST, length, 1.0)
    start = jnp.where(jnp.isfinite(start), start, 0.0)
    weights = adams_weights(lambda u: jnp.exp(u - start - reach), history, start, start + reach)
    constant = -jnp.expm1(-length) * (jnp.arange(len(history.nodes)) == 0)
    return jnp.where((history.known > 1) & (length < LONGEST), weights, constant).astype(history.values.dtype)


def _lagrange(history: Past, at: Float[Array, " points"]) -> Float[Array, "points order"]:
    """The Lagrange polynomials of the real nodes at some points.

    Nodes behind a gap much shorter than the step are left out: the polynomial would repeat their rounding errors large.
    """
    count, reach = len(history.nodes), SHORTEST * jnp.abs(at[-1] - at[0])
    apart = jnp.isfinite(history.nodes[1:]) & (jnp.abs(jnp.diff(history.nodes)) > reach)
    real = (jnp.arange(count) < history.known) & jnp.concatenate([jnp.ones(1, bool), jnp.cumprod(apart) > 0])
    others = real[None, :] & ~jnp.eye(count, dtype=bool)  # (polynomial j, factor i)
    gaps = jnp.where(others & real[:, None], history.nodes[:, None] - history.nodes[None, :], 1.0)
    factors = jnp.where(others, (at[:, None, None] - history.nodes) / gaps, 1.0)
    return jnp.where(real, jnp.prod(factors, axis=-1), 0.0)
