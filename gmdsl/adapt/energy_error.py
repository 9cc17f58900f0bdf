r"""The step size from the energy errors of a sampler that rejects nothing.

An integrator of second order errs by $\Delta E \propto \epsilon^3$ in a step, so $E[\Delta E^2] / d = c\,\epsilon^6$.
The constant is estimated by a running mean of $\Delta E^2 / (d\,\epsilon^6)$ and
$\epsilon = (\text{target} / c)^{1/6}$. The mean starts anew whenever the scales are re-estimated; what was seen
before is pooled with it as long as both agree. Where noise enters within a step the power is a little smaller; the
step settles at the target all the same.

Reference:
    Robnik, De Luca, Silverstein and Seljak, *Microcanonical Hamiltonian Monte Carlo*, 2023, arXiv:2212.08549 (the
    variance of the energy per dimension as the measure); Robnik, Cohn-Gordon and Seljak, *Black-box unadjusted
    Hamiltonian Monte Carlo*, 2024, arXiv:2412.08876 (its relation to the bias).
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace, setting
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats

ORDER = 6.0  # of the mean squared energy error in the step
LEAST, MOST = 1e-8, 100.0  # of one squared error over the target
AGREE = 3.0  # difference of two estimates of log c that agree; more is allowed while there are few errors


class Errors(NamedTuple):
    """State of the rule: log c and the number of errors behind it, since the last start and before; the dimension."""

    log_constant: Float[Array, ""]
    count: Float[Array, ""]
    log_before: Float[Array, ""]
    before: Float[Array, ""]
    dim: Float[Array, ""]


class EnergyError(Adapter):
    """Tunes `step_size` so that the mean squared `energy_error` per dimension is `target`.

    A squared error counts as a hundred times the target at most, so that a rare wild one does not stop the chain.

    Attributes:
        target: of the mean squared error over the dimension; smaller is less biased and slower.
        memory: steps after which an error is forgotten, and most that count from before.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(5))
    >>> tree = gm.sample(bowl, gm.MCLMC(), draws=100, warmup=300, progress=False)
    >>> error = tree["sample_stats"]["energy_error"].values
    >>> bool(1e-4 < (error**2).mean() / 5 < 2e-3)
    True
    """

    target: float = 5e-4
    memory: float = 300.0

    tunes: ClassVar[tuple[str, ...]] = ("step_size",)
    needs: ClassVar[tuple[str, ...]] = ("energy_error",)

    def __check_init__(self) -> None:
        if not self.target > 0.0:
            raise SpecError(f"EnergyError(target={self.target}): a mean square is above zero. Try 5e-4.")
        if not self.memory >= 1.0:
            raise SpecError(f"EnergyError(memory={self.memory}): at least one step is remembered. Try 300.")

    def start(self, sampler: Sampler, dim: int) -> tuple[Errors, Sampler]:
        if setting(sampler, "step_size") is None:
            raise SpecError(f"{type(sampler).__name__}(step_size=None): a first step is needed, such as 0.1.")
        step = jnp.asarray(setting(sampler, "step_size"), jnp.result_type(float))
        constant = (jnp.log(self.target) - ORDER * jnp.log(step)).astype(step.dtype)
        zero = jnp.zeros_like(step)
        return Errors(constant, zero, constant, zero, jnp.full_like(step, dim)), sampler

    def update(
        self, state: Errors, sampler: Sampler, position: Any, score: Any, stats: Stats
    ) -> tuple[Errors, Sampler]:
        del position, score
        ratio = stats["energy_error"] ** 2 / (state.dim * self.target)
        ratio = jnp.clip(jnp.nan_to_num(ratio, nan=MOST, posinf=MOST), LEAST, MOST)
        seen = jnp.log(ratio * self.target) - ORDER * jnp.log(setting(sampler, "step_size"))
        weight = 1.0 / jnp.minimum(state.count + 1.0, self.memory)
        constant = jnp.logaddexp(jnp.log1p(-weight) + state.log_constant, jnp.log(weight) + seen)
        going = state._replace(log_constant=constant, count=state.count + 1.0)
        kept = jnp.minimum(going.count + state.before, self.memory)
        ended = going._replace(log_before=_pool(going), before=kept, count=jnp.zeros_like(state.count))
        end = stats.get("warmup_window_end", False)
        new = jax.tree.map(lambda a, b, old: jnp.where(end, a, b).astype(old.dtype), ended, going, state)
        return new, replace(sampler, step_size=self._step(new))

    def finish(self, state: Errors, sampler: Sampler) -> Sampler:
        return replace(sampler, step_size=self._step(state))

    def _step(self, state: Errors) -> Float[Array, ""]:
        return jnp.exp((jnp.log(self.target) - _pool(state)) / ORDER).astype(state.log_constant.dtype)


def _pool(state: Errors) -> Float[Array, ""]:
    """The estimate of log c from all errors, or from those since the last start when the earlier ones contradict."""
    count = jnp.maximum(state.count, 1.0)
    agree = jnp.abs(state.log_constant - state.log_before) < AGREE * (1.0 + 3.0 / count)
    before = jnp.where(agree, state.before, 0.0)
    both = jnp.logaddexp(jnp.log(before) + state.log_before, jnp.log(count) + state.log_constant)
    return jnp.where(state.count < 1.0, state.log_before, both - jnp.log(before + count))
