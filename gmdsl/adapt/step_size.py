r"""Dual averaging of the step size to a target acceptance rate.

$\log\epsilon_{t+1} = \mu - \frac{\sqrt t}{\gamma} \bar H_t$, with $\bar H_t$ the running mean of target minus
observed acceptance; the final step is the weighted average of the $\log\epsilon_t$. The averaging
restarts whenever the scales are re-estimated, around the average so far; around ten times the first step at the start.
A first step that is all but always rejected is shortened by a fixed factor, and lengthened again where it is
accepted, until it is neither: a chain that starts far out, where scores are astronomical, is on its way after a few
tries.
The paper takes $\gamma = 0.05$ and ten times the step at every restart. The steps then scatter by half a unit of
$\log\epsilon$, and at their average the acceptance is 0.05 to 0.15 higher than wanted; with $\gamma = 0.2$ it is within
0.05 of what is wanted on the targets that were tried (NUTS, HMC, MALA and random walks on four of them).

Reference:
    Hoffman and Gelman, *The No-U-Turn Sampler*, JMLR 15, 2014, section 3.2.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace, setting
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats

LOST = 0.01  # an acceptance below this says that the step is far too long
SHRINK = 1.5  # by how much its logarithm is then changed


class Averages(NamedTuple):
    """State of the dual averaging."""

    log_step: Float[Array, ""]
    log_average: Float[Array, ""]
    gap: Float[Array, ""]
    center: Float[Array, ""]
    count: Float[Array, ""]
    searching: Bool[Array, ""]
    ceiling: Float[Array, ""]


class StepSize(Adapter):
    """Tunes `step_size` so that the mean of `acceptance_rate` is `target_accept`.

    Attributes:
        target_accept: between 0 and 1; 0.8 to 0.9 for NUTS, 0.574 for MALA, 0.234 for random walks.
        regularization: gamma of the paper: larger is calmer.
        offset: t0 of the paper: how much the first steps are damped.
        decay: kappa of the paper: how fast early steps are forgotten.
    """

    target_accept: float = 0.8
    regularization: float = 0.2
    offset: float = 10.0
    decay: float = 0.75

    tunes: ClassVar[tuple[str, ...]] = ("step_size",)
    needs: ClassVar[tuple[str, ...]] = ("acceptance_rate",)

    def __check_init__(self) -> None:
        if not 0.0 < self.target_accept < 1.0:
            raise SpecError(f"StepSize(target_accept={self.target_accept}): an acceptance rate lies between 0 and 1.")

    def start(self, sampler: Sampler, dim: int) -> tuple[Averages, Sampler]:
        del dim
        if setting(sampler, "step_size") is None:
            raise SpecError(f"{type(sampler).__name__}(step_size=None): a first step is needed, such as 0.1.")
        log_step = jnp.log(jnp.asarray(setting(sampler, "step_size")))
        return _restart(log_step, log_step + jnp.log(10.0).astype(log_step.dtype), log_step), sampler

    def update(
        self, state: Averages, sampler: Sampler, position: Any, score: Any, stats: Stats
    ) -> tuple[Averages, Sampler]:
        del position, score
        return self._average(state, sampler, jnp.nan_to_num(stats["acceptance_rate"], nan=0.0), stats)

    def update_all(
        self, state: Averages, sampler: Sampler, positions: Any, scores: Any, stats: Stats
    ) -> tuple[Averages, Sampler]:
        """One step for all chains, from the mean of their rates."""
        del positions, scores
        return self._average(state, sampler, jnp.nan_to_num(stats["acceptance_rate"], nan=0.0).mean(), stats)

    def _average(self, state: Averages, sampler: Sampler, accept: Array, stats: Stats) -> tuple[Averages, Sampler]:
        state, searching = _search(state, accept)
        count = state.count + 1.0
        gap = state.gap + (self.target_accept - accept - state.gap) / (count + self.offset)
        log_step = state.center - jnp.sqrt(count) / self.regularization * gap
        weight = count**-self.decay
        log_average = weight * log_step + (1.0 - weight) * state.log_average
        new = Averages(log_step, log_average, gap, state.center, count, state.searching, state.ceiling)
        new = jax.tree.map(lambda a, b: jnp.where(searching, a, b), state, new)
        restart = stats.get("warmup_window_end", False)
        again = _restart(log_average, log_average)
        new = jax.tree.map(lambda a, b: jnp.where(restart, a, b).astype(b.dtype), again, new)
        return new, replace(sampler, step_size=jnp.exp(new.log_step))

    def finish(self, state: Averages, sampler: Sampler) -> Sampler:
        return replace(sampler, step_size=jnp.exp(state.log_average))


def _restart(log_step: Array, center: Array, ceiling: Array | None = None) -> Averages:
    zero = jnp.zeros_like(log_step)
    top = log_step if ceiling is None else ceiling
    return Averages(log_step, log_step, zero, center, zero, jnp.asarray(ceiling is not None), top)


def _search(state: Averages, accept: Array) -> tuple[Averages, Array]:
    """The state with a step that is shorter, or longer again, by a fixed factor, and whether it still searches.

    It does from the first step that is all but always rejected to the first that is neither that nor all but always
    accepted, or is as long as it was at the start.
    """
    lost = accept < LOST
    free = (accept > 1.0 - LOST) & (state.log_step < state.ceiling - 0.5 * SHRINK)
    moving = state.searching & (lost | free)
    shift = jnp.where(moving, jnp.where(lost, -SHRINK, SHRINK), 0.0)
    moved = state._replace(
        log_step=state.log_step + shift,
        log_average=state.log_average + shift,
        center=state.center + shift,
        searching=moving,
    )
    return jax.tree.map(lambda a, b: a.astype(b.dtype), moved, state), moving
