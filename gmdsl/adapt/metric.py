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
from equinox import AbstractClassVar

from gmdsl.adapt.welford import Moments, add, add_all, covariance, empty
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace, setting
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats


class Metric(Adapter):
    """Estimates `inverse_mass`; subclasses say whether all correlations are estimated."""

    dense: AbstractClassVar[bool]
    tunes: ClassVar[tuple[str, ...]] = ("inverse_mass",)

    def start(self, sampler: Sampler, dim: int) -> tuple[Moments, Sampler]:
        given = setting(sampler, "inverse_mass")
        given = jnp.ones(dim) if given is None else jnp.asarray(given)
        if given.shape not in ((dim,), (dim, dim)):
            raise SpecError(
                f"{type(sampler).__name__}(inverse_mass=...): shape {given.shape}, the flat vector has length {dim}."
                f" Give ({dim},), ({dim}, {dim}) or None."
            )
        given = given.astype(jnp.result_type(float))
        if self.dense and given.ndim == 1:
            given = jnp.diag(given)
        return empty(dim, self.dense), replace(sampler, inverse_mass=given)

    def update(
        self, state: Moments, sampler: Sampler, position: Any, score: Any, stats: Stats
    ) -> tuple[Moments, Sampler]:
        del score
        return self._update_moments(state, add(state, position), sampler, stats)

    def update_all(
        self, state: Moments, sampler: Sampler, positions: Any, scores: Any, stats: Stats
    ) -> tuple[Moments, Sampler]:
        """One estimate from the draws of all chains."""
        del scores
        return self._update_moments(state, add_all(state, positions), sampler, stats)

    def _update_moments(self, old: Moments, new: Moments, sampler: Sampler, stats: Stats) -> tuple[Moments, Sampler]:
        inside, end = stats.get("warmup_window", False), stats.get("warmup_window_end", False)
        state = jax.tree.map(lambda a, b: jnp.where(inside, a, b), new, old)
        mass = setting(sampler, "inverse_mass")
        scale = jnp.diagonal(mass) if mass.ndim == 2 else mass
        metric = jnp.where(end, covariance(state, scale), mass).astype(mass.dtype)
        state = jax.tree.map(lambda leaf: jnp.where(end, 0.0, leaf), state)
        return state, replace(sampler, inverse_mass=metric)

    def finish(self, state: Moments, sampler: Sampler) -> Sampler:
        return sampler


class DiagonalMetric(Metric):
    """Tunes `inverse_mass` to the variances of the draws."""

    dense: ClassVar[bool] = False


class DenseMetric(Metric):
    """Tunes `inverse_mass` to the covariance of the draws; for strongly correlated targets."""

    dense: ClassVar[bool] = True
