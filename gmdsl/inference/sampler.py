r"""The sampler contract, and the Metropolis rule that most samplers share.

A sampler is settings plus one function, `step(key, target, state) -> (state, stats)`. By default
the state is the position x itself; a sampler that carries more gives `init` and `position`. The
driver owns keys, chains, warm-up, progress and export.

Reference:
    Metropolis et al., *Equation of state calculations by fast computing machines*, 1953;
    Hastings, *Monte Carlo sampling methods using Markov chains and their applications*, 1970.
"""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.random.keys import step_key
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class Sampler(eqx.Module):
    """A Markov kernel with settings. Subclasses give `step`; the rest has defaults.

    Class attributes:
        adapts: an adapter or a tuple of them (`gm.adapt`), run during warm-up only.
        bias: how the law of the chain differs from the target's; None when it does not.
        moves_discrete: whether it can move discrete variables, by the table `target.states`.
        lockstep: False when the work of a step differs much between chains (trees), so that chains
            run one after the other instead of side by side.
    """

    adapts: ClassVar[Any] = ()
    bias: ClassVar[str | None] = None
    moves_discrete: ClassVar[bool] = False
    lockstep: ClassVar[bool] = True

    @abc.abstractmethod
    def step(self, key: Array, target: Target, state: Any) -> tuple[Any, Stats]:
        """One transition. Stats are scalars under ArviZ's names (`lp`, `acceptance_rate`, `diverging`...)."""

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> Any:
        """The state at a position; by default the position."""
        del key, target
        return x

    def position(self, state: Any) -> Float[Array, " dim"]:
        """The position in a state; by default the state."""
        return state

    def bound(self, density: Any) -> "Sampler":
        """The sampler with what it must know of a compiled model; by default nothing, and it stays as it is.

        The driver calls it once before a run, on `gm.compile(model)`. What it adds must be static.
        """
        del density
        return self

    def refresh(self, key: Array, target: Target, state: Any) -> Any:
        """The state after the target has changed: nothing that was cached may survive."""
        return self.init(key, target, self.position(state))

    def advance(
        self, key: Array, target: Target, x: Float[Array, " dim"], steps: int
    ) -> tuple[Float[Array, " dim"], Float[Array, ""]]:
        """Where a chain ends after some steps with the settings as they are, and its mean acceptance rate.

        Learning by chains needs no more than that. By default the steps are made one after the other; a sampler that
        gets there with fewer evaluations of the density says how.

        Args:
            key: a random key of which nothing else is made.
            target: the density.
            x: where the chain is.
            steps: how many steps.

        Returns:
            The position, and the rate: NaN where no step reports one.
        """

        def step(i: Array, at: Any) -> Any:
            state, total = at
            state, stats = self.step(step_key(key, i + 1), target, state)
            return state, total + stats.get("acceptance_rate", jnp.nan)

        start = (self.init(step_key(key, jnp.int32(0)), target, x), jnp.zeros((), x.dtype))
        state, total = jax.lax.fori_loop(0, steps, step, start)
        return self.position(state), total / max(steps, 1)


def check_step(sampler: Any) -> None:
    """Refuses a step size or a target acceptance rate that no sampler can use.

    Raises:
        SpecError: a step that is not above zero, a rate that is not a number between 0 and 1.
    """
    name, step = type(sampler).__name__, sampler.step_size
    if isinstance(step, int | float) and not step > 0:
        raise SpecError(f"{name}(step_size={step}): a step is above zero. Try 0.1.")
    rate = getattr(sampler, "target_accept", 0.5)
    if isinstance(rate, jax.Array) or not 0.0 < rate < 1.0:
        raise SpecError(f"{name}(target_accept={rate}): a number between 0 and 1 is needed.")
