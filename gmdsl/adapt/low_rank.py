r"""A diagonal inverse mass with a low-rank correction, from draws and scores.

For a Gaussian the scores are $g = -\Sigma^{-1}(x - \mu)$, so draws and scores together fix $\Sigma$ from few draws: in
units of a diagonal $D$ and within the span of the leading directions of both, the estimate is the geometric mean of the
covariance of the draws and the inverse covariance of the scores,

$$ \Sigma\, C_g\, \Sigma = C_x . $$

Directions whose variance is near one stay with the diagonal. The cost of a step is linear in the dimension. Where a
sampler keeps no scores, the covariance of the draws alone is used, and only what stands out of its sampling noise.

Reference:
    Seyboldt, Carlson and Carpenter, *Preconditioning Hamiltonian Monte Carlo by minimizing Fisher divergence*, 2026;
    Donoho, Gavish and Johnstone, *Optimal shrinkage of eigenvalues in the spiked covariance model*,
    Annals of Statistics 2018 (draws alone).
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace, setting
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.kernels.metric import LowRank
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats


class RecentDraws(NamedTuple):
    """The latest draws and scores of a window, and how many the window has had."""

    positions: Float[Array, "kept dim"]
    scores: Float[Array, "kept dim"]
    count: Float[Array, ""]


class LowRankMetric(Adapter):
    """Tunes `inverse_mass` to a diagonal and a few directions; for many correlated variables.

    Attributes:
        rank: leading directions of the draws, and as many of the scores, in which correlations are estimated.
        kept: latest draws of a window that are used.
        cutoff: directions whose variance lies between 1 / cutoff and cutoff are left to the diagonal.
        regularization: added to both covariances, in units of the diagonal.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(20))
    >>> tree = gm.sample(bowl, gm.NUTS(metric=gm.adapt.LowRankMetric()), draws=10, warmup=50, progress=False)
    >>> tree["posterior"]["x"].shape
    (4, 10, 20)
    """

    rank: int = 8
    kept: int = 100
    cutoff: float = 2.0
    regularization: float = 1e-4

    tunes: ClassVar[tuple[str, ...]] = ("inverse_mass",)

    def __check_init__(self) -> None:
        for name, least in (("rank", 1), ("kept", 4)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise SpecError(f"LowRankMetric({name}={value!r}): a whole number of at least {least} is needed.")
        if not self.cutoff > 1.0:
            raise SpecError(f"LowRankMetric(cutoff={self.cutoff}): a factor above 1 is needed, such as 2.")

    def start(self, sampler: Sampler, dim: int) -> tuple[RecentDraws, Sampler]:
        given = setting(sampler, "inverse_mass")
        if not isinstance(given, LowRank):
            variances = jnp.ones(dim) if given is None else jnp.asarray(given, jnp.result_type(float))
            if variances.shape != (dim,):
                raise SpecError(
                    f"{type(sampler).__name__}(inverse_mass=...): shape {variances.shape}; with LowRankMetric it is"
                    f" None or a vector of ({dim},) variances to start from."
                )
            columns = 2 * self._directions(dim)
            given = LowRank(jnp.sqrt(variances), jnp.eye(dim, columns), jnp.ones(columns))
        empty = jnp.zeros((self.kept, dim))
        return RecentDraws(empty, empty, jnp.zeros(())), replace(sampler, inverse_mass=given)

    def update(
        self, state: RecentDraws, sampler: Sampler, position: Float[Array, " dim"], score: Any, stats: Stats
    ) -> tuple[RecentDraws, Sampler]:
        scores = None if score is None else score[None]
        return self.update_all(state, sampler, position[None], scores, stats)

    def update_all(
        self, state: RecentDraws, sampler: Sampler, positions: Any, scores: Any, stats: Stats
    ) -> tuple[RecentDraws, Sampler]:
        """One estimate from the draws of all chains."""
        inside, end = stats.get("warmup_window", False), stats.get("warmup_window_end", False)
        new = _with(state, positions, scores)
        state = jax.tree.map(lambda a, b: jnp.where(inside, a, b), new, state)
        mass = setting(sampler, "inverse_mass")
        mass = jax.lax.cond(end, lambda: self._estimate(state, mass, scores is not None), lambda: mass)
        state = state._replace(count=jnp.where(end, 0.0, state.count))
        return state, replace(sampler, inverse_mass=mass)

    def finish(self, state: RecentDraws, sampler: Sampler) -> Sampler:
        return sampler

    def _directions(self, dim: int) -> int:
        return max(1, min(self.rank, dim // 2, self.kept // 2))

    def _estimate(self, state: RecentDraws, old: LowRank, scored: bool) -> LowRank:
        seen = jnp.minimum(state.count, self.kept)
        x, g = _center(state.positions, seen), _center(state.scores, seen)
        variance_x, variance_g = jnp.sum(x**2, axis=0), jnp.sum(g**2, axis=0)
        tiny = jnp.finfo(x.dtype).tiny
        variance = jnp.sqrt(variance_x / jnp.maximum(variance_g, tiny)) if scored else variance_x
        share = seen / (seen + 5.0)  # shrunk a little towards the last estimate, as the other metrics
        variance = share * variance + 1e-3 * (1.0 - share) * old.scales**2
        good = jnp.isfinite(variance) & (variance > 0)
        scales = jnp.where(good, jnp.sqrt(jnp.where(good, variance, 1.0)), old.scales)
        x, g = x / scales, g * scales
        directions = old.values.shape[0] // 2
        if scored:
            vectors, values = self._with_scores(x, g, directions)
        else:
            vectors, values = self._draws_alone(x, seen, directions)
        plain = ((values < self.cutoff) & (values > 1.0 / self.cutoff)) | ~jnp.isfinite(values)
        values = jnp.where(plain, 1.0, values)
        vectors = jnp.where(jnp.isfinite(vectors).all(), vectors, old.vectors)
        return LowRank(
            *(a.astype(b.dtype) for a, b in zip((scales, vectors, values), jax.tree.leaves(old), strict=True))
        )

    def _with_scores(self, x: Array, g: Array, directions: int) -> tuple[Array, Array]:
        basis = jnp.linalg.qr(jnp.concatenate([_leading(x, directions)[0], _leading(g, directions)[0]], axis=1))[0]
        floor = self.regularization * jnp.eye(2 * directions)
        covariance = _geometric_mean((x @ basis).T @ (x @ basis) + floor, (g @ basis).T @ (g @ basis) + floor)
        values, inner = jnp.linalg.eigh(covariance)
        return basis @ inner, values

    def _draws_alone(self, x: Array, seen: Array, directions: int) -> tuple[Array, Array]:
        vectors, values = _leading(x, 2 * directions)
        ratio = x.shape[1] / jnp.maximum(seen - 1.0, 1.0)
        below = values + 1.0 - ratio
        clear = values > (1.0 + jnp.sqrt(ratio)) ** 2
        return vectors, jnp.where(clear, 0.5 * (below + jnp.sqrt(jnp.maximum(below**2 - 4.0 * values, 0.0))), 1.0)


def _with(state: RecentDraws, positions: Array, scores: Any) -> RecentDraws:
    """The latest draws with some more; the oldest fall out."""
    kept = state.positions.shape[0]
    places = (state.count.astype(int) + jnp.arange(len(positions))[-kept:] + max(len(positions) - kept, 0)) % kept
    put = lambda old, new: old if new is None else old.at[places].set(new[-kept:].astype(old.dtype))  # noqa: E731
    return RecentDraws(put(state.positions, positions), put(state.scores, scores), state.count + len(positions))


def _center(rows: Array, seen: Array) -> Array:
    """The first rows less their mean, so that their products sum to a covariance; the others zero."""
    there = (jnp.arange(len(rows)) < seen)[:, None]
    mean = jnp.sum(jnp.where(there, rows, 0.0), axis=0) / jnp.maximum(seen, 1.0)
    return jnp.where(there, rows - mean, 0.0) / jnp.sqrt(jnp.maximum(seen - 1.0, 1.0))


def _leading(rows: Array, count: int) -> tuple[Array, Array]:
    """Leading right singular vectors of a matrix, as columns, and the squares of its singular values."""
    squares, left = jnp.linalg.eigh(rows @ rows.T)
    squares, left = squares[::-1][:count], left[:, ::-1][:, :count]
    tiny = jnp.finfo(rows.dtype).eps * jnp.maximum(squares[0], 1e-30)
    return rows.T @ left / jnp.sqrt(jnp.maximum(squares, tiny)), squares


def _geometric_mean(a: Array, b: Array) -> Array:
    """The positive definite S with S b S = a."""
    values, vectors = jnp.linalg.eigh(b)
    half, back = (vectors * values**0.5) @ vectors.T, (vectors * values**-0.5) @ vectors.T
    values, vectors = jnp.linalg.eigh(half @ a @ half)
    return back @ ((vectors * jnp.sqrt(jnp.maximum(values, 0.0))) @ vectors.T) @ back
