r"""The marginal law of each coordinate, as quantiles: where a proposal for it alone may go.

Between neighbours of the quantiles $q_0 < \dots < q_m$ at $j / m$ the estimated density is flat, $1 / (m (q_{j+1} -
q_j))$, and outside of them it is zero. Draws in several modes give a density with all of these modes.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace, setting
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.collectives import all_chains, chain_count
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats

CELLS = 32  # between quantiles
KEPT = 256  # draws that the quantiles are taken of; eight for each cell
APART = 1e-4  # of the mean width of a cell, the least width


class Recent(NamedTuple):
    """The last draws of a window, and how many there were."""

    draws: Float[Array, "kept dim"]
    count: Array


class Marginals(Adapter):
    """Tunes `marginals`, (dim, 33) quantiles, to the draws of the warm-up windows.

    They are NaN until a window has ended; a sampler does without them until then.

    Attributes:
        pooled: whether the draws of all chains count, so that each may go where any of them has been; otherwise each
            chain has its own.
    """

    pooled: bool = False

    tunes: ClassVar[tuple[str, ...]] = ("marginals",)

    @property
    def side_by_side(self) -> bool:
        return self.pooled

    def start(self, sampler: Sampler, dim: int) -> tuple[Recent, Sampler]:
        given = setting(sampler, "marginals")
        given = jnp.full((dim, CELLS + 1), jnp.nan) if given is None else jnp.asarray(given, jnp.result_type(float))
        if given.shape != (dim, CELLS + 1):
            raise SpecError(
                f"{type(sampler).__name__}(marginals=...): shape {given.shape}, the flat vector has length {dim}. Give"
                f" {CELLS + 1} increasing quantiles of each coordinate, ({dim}, {CELLS + 1}), or None."
            )
        return Recent(jnp.full((KEPT, dim), jnp.nan), jnp.int32(0)), replace(sampler, marginals=given)

    def update(
        self, state: Recent, sampler: Sampler, position: Float[Array, " dim"], score: Any, stats: Stats
    ) -> tuple[Recent, Sampler]:
        del score
        inside, end = stats.get("warmup_window", False), stats.get("warmup_window_end", False)
        draws = state.draws.at[state.count % KEPT].set(jnp.where(inside, position, state.draws[state.count % KEPT]))
        count = state.count + jnp.asarray(inside, jnp.int32)
        old = setting(sampler, "marginals")
        of = lambda: quantiles(_of_all(draws) if self.pooled else draws).astype(old.dtype)  # noqa: E731
        found = jax.lax.cond(end & (count > CELLS), of, lambda: old)
        return Recent(draws, jnp.where(end, 0, count)), replace(sampler, marginals=found)

    def finish(self, state: Recent, sampler: Sampler) -> Sampler:
        return sampler


def _of_all(draws: Float[Array, "kept dim"]) -> Float[Array, "some dim"]:
    """Draws of all chains: the last ones of each, evenly spaced, as many as one chain keeps or one per chain."""
    chains = chain_count()
    each = max(KEPT // chains, 1)
    return all_chains(draws[:: KEPT // each][:each]).reshape(-1, draws.shape[1])


def quantiles(draws: Float[Array, "draws dim"]) -> Float[Array, "dim cells_and_one"]:
    """The quantiles of each coordinate at 0, 1/32, ..., 1, a little apart where draws coincide.

    Rows of NaN are left out.

    >>> found = quantiles(jnp.arange(65.0)[:, None])
    >>> [float(q) for q in found[0, :3].round(2)], round(float(found[0, -1]), 1)
    ([0.0, 2.0, 4.0], 64.0)
    """
    count = jnp.sum(~jnp.isnan(draws[:, 0]))
    inside = jnp.sort(draws, axis=0)  # NaN goes to the end
    place = jnp.linspace(0.0, 1.0, CELLS + 1, dtype=draws.dtype) * (count - 1)
    low = jnp.floor(place).astype(jnp.int32)
    high, share = jnp.minimum(low + 1, count - 1), (place - low)[:, None]
    found = ((1.0 - share) * inside[low] + share * inside[high]).T
    width = jnp.maximum(jnp.diff(found), APART * (found[:, -1:] - found[:, :1]) / CELLS)
    width = jnp.maximum(width, jnp.finfo(draws.dtype).eps * jnp.abs(found[:, 1:]))  # so that sums move at all
    return jnp.concatenate([found[:, :1], found[:, :1] + jnp.cumsum(width, axis=1)], axis=1)


def drawn(
    marginals: Float[Array, "... cells_and_one"], uniform: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Points at which the estimated distribution functions have some values, and the log-densities there.

    >>> x, log_density = drawn(2.0 * jnp.arange(33.0), jnp.asarray(0.5))
    >>> float(x), round(float(jnp.exp(log_density)), 6)  # 1 / 64
    (32.0, 0.015625)
    """
    place = uniform * CELLS
    cell = jnp.clip(place.astype(jnp.int32), 0, CELLS - 1)
    low, high = _ends(marginals, cell)
    return low + (place - cell) * (high - low), -jnp.log(CELLS * (high - low))


def log_marginal(marginals: Float[Array, "... cells_and_one"], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The logarithms of the estimated densities at some points; -inf outside of the quantiles.

    >>> round(float(jnp.exp(log_marginal(2.0 * jnp.arange(33.0), jnp.asarray(5.0)))), 6)  # 1 / 64
    0.015625
    """
    cell = jnp.clip(jnp.sum(x[..., None] >= marginals, axis=-1) - 1, 0, CELLS - 1)
    low, high = _ends(marginals, cell)
    inside = (x >= marginals[..., 0]) & (x <= marginals[..., -1])
    return jnp.where(inside, -jnp.log(CELLS * (high - low)), -jnp.inf)


def _ends(marginals: Array, cell: Array) -> tuple[Array, Array]:
    low, high = (jnp.take_along_axis(marginals, at[..., None], -1)[..., 0] for at in (cell, cell + 1))
    return low, high
