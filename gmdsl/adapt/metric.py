"""The inverse mass from the draws of the warm-up windows: diagonal, or dense.

Each window of Stan's schedule is estimated on its own; at its end the estimate replaces the
sampler's `inverse_mass` and the next window starts from nothing. Estimates are shrunk a little
towards the last ones.

Reference:
    Stan Reference Manual, *HMC algorithm parameters*, "automatic parameter tuning".
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from gmdsl.adapt.welford import Moments, add, covariance, empty
from gmdsl.core.adapter import Adapter
from gmdsl.core.sampler import Sampler, Stats
from gmdsl.core.tree import replace, setting


class DiagonalMetric(Adapter):
    """Tunes `inverse_mass` to the variances of the draws."""

    tunes: ClassVar[tuple[str, ...]] = ("inverse_mass",)

    def start(self, sampler: Sampler, dim: int) -> tuple[Moments, Sampler]:
        return _start(sampler, dim, dense=False)

    def update(
        self, state: Moments, sampler: Sampler, position: Any, score: Any, stats: Stats
    ) -> tuple[Moments, Sampler]:
        return _update(state, sampler, position, stats)

    def finish(self, state: Moments, sampler: Sampler) -> Sampler:
        return sampler


class DenseMetric(Adapter):
    """Tunes `inverse_mass` to the covariance of the draws; for strongly correlated targets."""

    tunes: ClassVar[tuple[str, ...]] = ("inverse_mass",)

    def start(self, sampler: Sampler, dim: int) -> tuple[Moments, Sampler]:
        return _start(sampler, dim, dense=True)

    def update(
        self, state: Moments, sampler: Sampler, position: Any, score: Any, stats: Stats
    ) -> tuple[Moments, Sampler]:
        return _update(state, sampler, position, stats)

    def finish(self, state: Moments, sampler: Sampler) -> Sampler:
        return sampler


def _start(sampler: Sampler, dim: int, dense: bool) -> tuple[Moments, Sampler]:
    given = setting(sampler, "inverse_mass")
    if given is None:
        given = jnp.ones(dim)
    given = jnp.asarray(given)
    if dense and given.ndim == 1:
        given = jnp.diag(given)
    return empty(dim, dense), replace(sampler, inverse_mass=given)


def _update(state: Moments, sampler: Sampler, position: Any, stats: Stats) -> tuple[Moments, Sampler]:
    inside = stats.get("warmup_window", False)
    end = stats.get("warmup_window_end", False)
    state = jax.tree.map(lambda a, b: jnp.where(inside, a, b), add(state, position), state)
    old = setting(sampler, "inverse_mass")
    scale = jnp.diagonal(old) if old.ndim == 2 else old
    metric = jnp.where(end, covariance(state, scale), old).astype(old.dtype)
    state = jax.tree.map(lambda leaf: jnp.where(end, 0.0, leaf), state)
    return state, replace(sampler, inverse_mass=metric)
