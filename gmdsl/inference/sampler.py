"""The sampler contract.

A sampler is settings plus one function, `step(key, target, state) -> (state, stats)`. By default
the state is the position x itself; a sampler that carries more gives `init` and `position`. The
driver owns keys, chains, warm-up, progress and export.
"""

import abc
from typing import Any, Self

import equinox as eqx
import jax
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.settings import Checked
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class Sampler(Checked, eqx.Module):
    """A Markov kernel with settings. Subclasses give `step`; the rest has defaults.

    `adapts`, `bias`, `divides`, `lockstep` and `reversible` are class attributes, or properties where they
    depend on settings.
    """

    @property
    def adapts(self) -> Any:
        """An adapter or a tuple of them (`gm.adapt`), run during warm-up only."""
        return ()

    @property
    def bias(self) -> str | None:
        """How the law of the chain differs from the target's; None when it does not."""
        return None

    @property
    def lockstep(self) -> bool:
        """False when the work of a step differs much between chains (trees); they then run one after the other."""
        return True

    @property
    def reversible(self) -> bool:
        r"""Whether $\pi(x) T(x, x') = \pi(x') T(x', x)$ for a step from a fresh state at x to the position x'.

        What relies on it refuses other kernels. A fixed order of updates, or a velocity that is kept, breaks it.
        """
        return False

    @property
    def divides(self) -> bool:
        """Whether many chains side by side are cut in parts, one a core: XLA uses one for all but matrices."""
        return False

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

    def refresh(self, key: Array, target: Target, state: Any) -> Any:
        """The state after the target has changed (a block, a temperature, a swap): nothing cached may survive.

        By default a new state at the position. A sampler with momenta keeps them here.
        """
        return self.init(key, target, self.position(state))

    def bound(self, density: Any) -> Self:
        """The sampler with what it must know of a model, or an error that says why it cannot sample it.

        The driver calls it once before a run, on `gm.compile(model)`. By default nothing is added, and discrete
        variables are refused. What is added must be static.

        Raises:
            SpecError: names the variable and the way out.
        """
        refuse_discrete(self, density)
        return self


def refuse_discrete(sampler: Sampler, density: Any) -> None:
    """Refuses the discrete variables of a compiled model, for samplers that move real numbers only.

    Raises:
        SpecError: names the first of them.
    """
    name = type(sampler).__name__
    for variable in density.free:
        space = density.spaces[variable]
        if space.discrete:
            raise SpecError(
                f"sample(..., {name}()): {variable} was declared {space.title}, discrete, and {name} moves real numbers"
                f" only. Sum it out, model.marginalize({variable!r}), or give it a block of its own,"
                f" gm.blocks({{{variable!r}: gm.Gibbs(), ...}})."
            )


def refuse_endless(sampler: Sampler, density: Any) -> None:
    """Refuses the variables of a compiled model that are real or have infinitely many values.

    Raises:
        SpecError: names them, and what moves them.
    """
    name, free = type(sampler).__name__, list(density.free)
    real = [variable for variable in free if not density.spaces[variable].discrete]
    if real:
        few, others = ", ".join(real), [variable for variable in free if variable not in real]
        way = "Move them by a sampler of real variables, such as gm.MALA() or gm.NUTS()."
        if others:
            whose = [*((variable, name) for variable in others), *((variable, "NUTS") for variable in real)]
            parts = "{" + ", ".join(f"{variable!r}: gm.{kernel}()" for variable, kernel in whose) + "}"
            way = f"Give them to a block of their own: gm.blocks({parts})."
        raise SpecError(
            f"{name}(): {few} {'is' if len(real) == 1 else 'are'} continuous, and {name} draws variables of finitely"
            f" many values only. {way}"
        )
    endless = [variable for variable in free if density.spaces[variable].cardinality is None]
    if endless:
        raise SpecError(f"{name}(): {endless[0]} has infinitely many values. Truncate it, or sum it out.")


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
