r"""The metric of a sampler: the scales in which it moves.

An inverse mass $M^{-1} = L L^\top$, best near the covariance of the target, is a vector of variances, a matrix, or a
`LowRank` correction of a diagonal. Samplers move in the standard coordinates that its root $L$ gives: noise $z$ of unit
scale becomes $L z$, a score $s$ becomes $L^\top s$, and the momentum $r = L^\top p$ is standard normal,
with $\dot x = L r$, $\dot r = L^\top s$ and kinetic energy $\tfrac12 r^\top r$.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class LowRank(eqx.Module):
    r"""$M^{-1} = D\,(I + V(\Lambda - I)V^\top)\,D$: a diagonal, and a few directions that are longer or shorter.

    Attributes:
        scales: the diagonal of D, standard deviations, (dim,).
        vectors: orthonormal columns V in units of the scales, (dim, rank).
        values: the diagonal of Lambda, variances along them in these units, (rank,).
    """

    scales: Float[Array, " dim"]
    vectors: Float[Array, "dim rank"]
    values: Float[Array, " rank"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the matrix."""
        return (len(self.scales), len(self.scales))


SHORT = 64

type InverseMass = Float[Array, " dim"] | Float[Array, "dim dim"] | LowRank
type Root = Float[Array, " dim"] | Float[Array, "dim dim"] | LowRank


def root(inverse_mass: InverseMass | None) -> Root:
    """L of an inverse mass, 1 for None; take it once per transition, since that of a matrix is a Cholesky factor."""
    if inverse_mass is None:
        return jnp.ones(1)
    if isinstance(inverse_mass, LowRank):
        return LowRank(inverse_mass.scales, inverse_mass.vectors, jnp.sqrt(inverse_mass.values))
    mass = jnp.asarray(inverse_mass)
    return jnp.sqrt(mass) if mass.ndim == 1 else jnp.linalg.cholesky(mass)


def scaled(root: Root, z: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """A step of unit scale in the coordinates of the target: L z."""
    if isinstance(root, LowRank):
        return root.scales * _along(root, root.values, z)
    return root * z if root.ndim == 1 else root @ z


def scaled_score(root: Root, score: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """A score in standard coordinates: the transpose of L times it."""
    if isinstance(root, LowRank):
        return _along(root, root.values, root.scales * score)
    return root * score if root.ndim == 1 else root.T @ score


def unscaled(root: Root, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """A difference of positions in standard coordinates: the inverse of L times it."""
    if isinstance(root, LowRank):
        return _along(root, 1.0 / root.values, x / root.scales)
    return x / root if root.ndim == 1 else jax.scipy.linalg.solve_triangular(root, x, lower=True)


def trace_in_units_of(inverse_mass: InverseMass | None, scatter: Array) -> Float[Array, ""]:
    """The trace of a scatter, its diagonal (dim,) or whole, in standard coordinates; that of a vector by diagonals."""
    if inverse_mass is None:
        return jnp.sum(jnp.diagonal(scatter)) if scatter.ndim == 2 else jnp.sum(scatter)
    if isinstance(inverse_mass, LowRank):
        inner = 1.0 + jnp.sum((inverse_mass.values - 1.0) * inverse_mass.vectors**2, axis=1)
        return jnp.sum(scatter / (inverse_mass.scales**2 * inner))
    if scatter.ndim == 2:
        return jnp.trace(jnp.linalg.solve(inverse_mass, scatter))
    return jnp.sum(scatter / jnp.asarray(inverse_mass))


def kinetic(momentum: Float[Array, " dim"]) -> Float[Array, ""]:
    """Kinetic energy of a momentum in standard coordinates."""
    return 0.5 * inner(momentum, momentum)


def inner(a: Float[Array, " dim"], b: Float[Array, " dim"]) -> Float[Array, ""]:
    """The inner product; of short vectors as a sum, which XLA fuses with what is around it on a CPU."""
    return jnp.sum(a * b) if a.shape[-1] <= SHORT else jnp.dot(a, b)


def _along(root: LowRank, values: Array, z: Array) -> Array:
    """(I + V (values - I) V') z."""
    return z + root.vectors @ ((values - 1.0) * (root.vectors.T @ z))
