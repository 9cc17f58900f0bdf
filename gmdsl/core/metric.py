r"""The Euclidean metric of Hamiltonian samplers: momenta, velocities, kinetic energy.

$K(p) = \tfrac12 p^\top M^{-1} p$ with $p \sim N(0, M)$. The inverse mass $M^{-1}$ is a vector (diagonal)
or a matrix; it is best near the covariance of the target.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

type InverseMass = Float[Array, " dim"] | Float[Array, "dim dim"]


def draw_momentum(key: Array, inverse_mass: InverseMass, dim: int) -> Float[Array, " dim"]:
    """A draw of p from N(0, M)."""
    noise = jax.random.normal(key, (dim,), inverse_mass.dtype)
    if inverse_mass.ndim == 1:
        return noise / jnp.sqrt(inverse_mass)
    factor = jnp.linalg.cholesky(inverse_mass)
    return jax.scipy.linalg.solve_triangular(factor, noise, lower=True, trans=1)


def root(inverse_mass: InverseMass) -> InverseMass:
    r"""The L of $L L^T = M^{-1}$: square roots, or the Cholesky factor."""
    inverse_mass = jnp.asarray(inverse_mass)
    return jnp.sqrt(inverse_mass) if inverse_mass.ndim == 1 else jnp.linalg.cholesky(inverse_mass)


def push(root: InverseMass, z: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """A vector from units in which the target is about N(0, 1) to those of the target: L times it."""
    return root * z if root.ndim == 1 else root @ z


def pull(root: InverseMass, score: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """The score in units in which the target is about N(0, 1): the transpose of L times it."""
    return root * score if root.ndim == 1 else root.T @ score


def draw_step(key: Array, inverse_mass: InverseMass, dim: int) -> Float[Array, " dim"]:
    """A draw from N(0, inverse mass): noise in the scale of the target."""
    return push(root(inverse_mass), jax.random.normal(key, (dim,), inverse_mass.dtype))


def velocity(inverse_mass: InverseMass, momentum: Float[Array, " dim"]) -> Float[Array, " dim"]:
    """dx/dt at a momentum: the inverse mass times p."""
    return inverse_mass * momentum if inverse_mass.ndim == 1 else inverse_mass @ momentum


def kinetic(inverse_mass: InverseMass, momentum: Float[Array, " dim"]) -> Float[Array, ""]:
    """Kinetic energy of a momentum; infinite where the sum of a matrix product overflows."""
    energy = 0.5 * jnp.dot(momentum, velocity(inverse_mass, momentum))
    return jnp.where(energy >= 0.0, energy, jnp.inf)


def mahalanobis(inverse_mass: InverseMass, step: Float[Array, " dim"]) -> Float[Array, ""]:
    """Squared length of a step in units of the target: step' M step."""
    if inverse_mass.ndim == 1:
        return jnp.sum(step**2 / inverse_mass)
    factor = jnp.linalg.cholesky(inverse_mass)
    return jnp.sum(jax.scipy.linalg.solve_triangular(factor, step, lower=True) ** 2)
