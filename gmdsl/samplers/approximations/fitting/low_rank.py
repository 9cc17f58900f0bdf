r"""The Gaussians along the way of L-BFGS: a diagonal and a few directions, $\Sigma = D + \beta \gamma \beta^T$.

L-BFGS remembers J steps $s_i = x_{i+1} - x_i$ and changes of slope $z_i = g_i - g_{i+1}$ (g is the score). With
$S, Z$ of shape (dim, J), R the upper triangle of $S^T Z$ and $\eta$ its diagonal, its estimate of the inverse of
minus the Hessian is that $\Sigma$ with

$$\beta = [D Z, S],\quad
  \gamma = \begin{pmatrix} 0 & -R^{-1} \\ -R^{-T} & R^{-T} (\mathrm{diag}\,\eta + Z^T D Z) R^{-1} \end{pmatrix}.$$

With $D^{-1/2} \beta = Q \tilde R$ a draw costs $O(dim \cdot J)$: no matrix of size dim x dim is ever made.

Reference:
    Byrd, Nocedal, Schnabel, *Representations of quasi-Newton matrices*, 1994; Gilbert and Lemaréchal, 1989 (diagonal);
    Zhang et al., *Pathfinder: parallel quasi-Newton variational inference*, JMLR 23, 2022, algorithms 3 and 4.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.samplers.approximations.fitting.gaussians import Drawable, standard


class History(NamedTuple):
    """What L-BFGS remembers: the diagonal, and the last steps and changes of slope, zero where there are none yet."""

    diagonal: Float[Array, " dim"]
    moves: Float[Array, "dim pairs"]
    changes: Float[Array, "dim pairs"]


class LowRankGaussian(Drawable):
    r"""The Gaussian $\mu + D^{1/2} (Q L Q^T + I - Q Q^T) u$.

    Attributes:
        mean: its mean.
        scale: the root of the diagonal D.
        basis: Q, with orthonormal columns.
        factor: L, the Cholesky factor of $I + \tilde R \gamma \tilde R^T$.
    """

    mean: Float[Array, " dim"]
    scale: Float[Array, " dim"]
    basis: Float[Array, "dim rank"]
    factor: Float[Array, "rank rank"]

    def at(self, noise: Float[Array, " dim"]) -> Float[Array, " dim"]:
        inside = self.basis.T @ noise
        return self.mean + self.scale * (noise + self.basis @ (self.factor @ inside - inside))

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        whitened = (x - self.mean) / self.scale
        inside = self.basis.T @ whitened
        undone = jax.scipy.linalg.solve_triangular(self.factor, inside, lower=True)
        noise = whitened + self.basis @ (undone - inside)
        return standard(noise) - jnp.sum(jnp.log(self.scale)) - jnp.sum(jnp.log(jnp.diagonal(self.factor)))


def forgotten(dim: int, pairs: int, dtype: jnp.dtype) -> History:
    """Nothing remembered: a unit diagonal."""
    return History(jnp.ones(dim, dtype), jnp.zeros((dim, pairs), dtype), jnp.zeros((dim, pairs), dtype))


def remembered(history: History, move: Float[Array, " dim"], change: Float[Array, " dim"]) -> History:
    """The history after one more step; a step along which the density is not concave teaches nothing."""
    diagonal, moves, changes = history
    inner = move @ change
    eps = jnp.finfo(move.dtype).eps
    concave = inner > 10.0 * eps * jnp.linalg.norm(move) * jnp.linalg.norm(change)
    a, b, c = change @ (diagonal * change), inner, move @ (move / diagonal)
    fresh = 1.0 / (a / (b * diagonal) + change**2 / b - a * move**2 / (b * c * diagonal**2))
    concave &= jnp.isfinite(fresh).all() & (fresh > 0.0).all()
    later = History(fresh, _push(moves, move), _push(changes, change))
    return jax.tree.map(lambda new, old: jnp.where(concave, new, old), later, history)


def gaussian(history: History, x: Float[Array, " dim"], score: Float[Array, " dim"]) -> LowRankGaussian:
    r"""The Gaussian at a point of the way: a Newton step from it, $\mu = x + \Sigma g$. NaN where it is not one."""
    diagonal, moves, changes = history
    empty = jnp.diagonal(moves.T @ changes) == 0.0
    corner = jnp.triu(moves.T @ changes) + jnp.diag(empty.astype(x.dtype))
    inverse = jax.scipy.linalg.solve_triangular(corner, jnp.eye(corner.shape[0], dtype=x.dtype))
    eta = jnp.where(empty, 0.0, jnp.diagonal(corner))
    block = inverse.T @ (jnp.diag(eta) + changes.T @ (diagonal[:, None] * changes)) @ inverse
    gamma = jnp.block([[jnp.zeros_like(block), -inverse], [-inverse.T, block]])
    beta = jnp.concatenate([diagonal[:, None] * changes, moves], axis=1)
    scale = jnp.sqrt(diagonal)
    basis, reduced = jnp.linalg.qr(beta / scale[:, None])
    inner = jnp.eye(reduced.shape[0], dtype=x.dtype) + reduced @ gamma @ reduced.T
    mean = x + diagonal * score + beta @ (gamma @ (beta.T @ score))
    return LowRankGaussian(mean, scale, basis, jnp.linalg.cholesky(inner))


def _push(columns: Array, last: Array) -> Array:
    return jnp.concatenate([columns[:, 1:], last[:, None]], axis=1)
