r"""The step of a sampler that moves chains inside of something else: along a path, or in an objective of learning.

There is no warm-up there. The logarithm of the step follows the acceptance rate,
$\log\epsilon \leftarrow \log\epsilon + \eta\,(\bar a - a^*)$, with the rate $a^*$ that the sampler's own adapter aims
at (Robbins and Monro, 1951). A sampler without such an adapter keeps its settings.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.step_size import StepSize
from gmdsl.core.pytrees.fields import replace, setting
from gmdsl.inference.adapter import adapters_of
from gmdsl.inference.sampler import Sampler


class InnerStep(eqx.Module):
    """How the step of a sampler follows its acceptance rate.

    Attributes:
        sampler: the sampler as the user made it.
    """

    sampler: Sampler

    @property
    def rule(self) -> StepSize | None:
        """The adapter that tunes its step, when it has one."""
        return next((rule for rule in adapters_of(self.sampler) if isinstance(rule, StepSize)), None)

    def first(self) -> Float[Array, ""]:
        """The logarithm of the sampler's own step; zero for one that is not tuned."""
        return jnp.log(jnp.asarray(1.0 if self.rule is None else setting(self.sampler, "step_size"), float))

    def at(self, log_step: Float[Array, ""]) -> Sampler:
        """The sampler with this step."""
        return self.sampler if self.rule is None else replace(self.sampler, step_size=jnp.exp(log_step))

    def tuned(self, log_step: Float[Array, ""], acceptance: Float[Array, ""], rate: float = 1.0) -> Float[Array, ""]:
        """The step after so many were accepted.

        Args:
            log_step: the logarithm of the step that was made.
            acceptance: the mean acceptance rate of all chains.
            rate: how fast it follows.
        """
        if self.rule is None:
            return log_step
        return log_step + rate * (acceptance - self.rule.target_accept)
