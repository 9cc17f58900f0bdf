r"""Inverse temperatures from the reference ($\beta = 0$) to the target ($\beta = 1$): one kind of schedule for all.

A schedule says which beta follows one, from the log-ratios $r = \log p - \log q$ of a weighted population there. A
ladder that is known beforehand looks at nothing. The others take the largest step whose weights
$w = \exp(g(r, \beta') - g(r, \beta))$ keep an effective share

$$\frac{(\sum_i W_i w_i)^2}{\sum_i W_i w_i^2}$$

of the population, or at which copies at both ends of the step would refuse to trade places as often as is wanted:
the rejection rate of a swap, whose sum over a fine ladder is the *communication barrier* $\Lambda$.

References:
    Zhou, Johansen, Aston, *Toward automatic model comparison*, 2016 (conditional effective size); Syed, Bouchard-Cote,
    Deligiannidis, Doucet, *Non-reversible parallel tempering*, JRSS B 84, 2022 (barrier, equal rejection).
"""

import abc
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.settings import Checked
from gmdsl.inference.interpolation import Interpolation

HALVINGS = 30  # of an interval of betas; 1e-9 of it is left
CREEP = 1e-6  # of the way that is left, the least that a step goes
MOST = 1000  # temperatures of a schedule that finds their number


class Schedule(Checked, eqx.Module):
    """Which inverse temperatures a path is walked at. Subclasses give `most` and `following`."""

    @property
    @abc.abstractmethod
    def most(self) -> int:
        """How many steps there are at most."""

    @property
    def fixed(self) -> tuple[float, ...] | None:
        """All betas, 0 and 1 included, where they are known beforehand."""
        return None

    @abc.abstractmethod
    def following(
        self,
        between: Interpolation,
        index: Array,
        beta: Float[Array, ""],
        ratio: Float[Array, " n"],
        log_weight: Float[Array, " n"],
    ) -> Float[Array, ""]:
        """The next beta.

        Args:
            between: the densities between reference and target.
            index: how many steps were made.
            beta: where the population is.
            ratio: log p - log q at each particle.
            log_weight: of the particles at this beta.
        """


class Ladder(Schedule):
    """Inverse temperatures that are given.

    Attributes:
        betas: in increasing order, from 0 to 1.
    """

    betas: tuple[float, ...] = eqx.field(static=True, converter=lambda betas: tuple(map(float, betas)))

    def __check_init__(self) -> None:
        found = np.asarray(self.betas, float)
        if len(found) < 2 or found[0] != 0.0 or found[-1] != 1.0 or not (np.diff(found) > 0).all():
            raise SpecError(f"Ladder({self.betas}): betas go up from 0 to 1, such as (0.0, 0.1, 0.4, 1.0).")

    @property
    def most(self) -> int:
        return len(self.betas) - 1

    @property
    def fixed(self) -> tuple[float, ...]:
        return self.betas

    def following(self, between: Interpolation, index: Array, beta: Array, ratio: Array, log_weight: Array) -> Array:
        del between, ratio, log_weight
        return jnp.asarray(self.betas, beta.dtype)[index + 1]


class EffectiveSize(Schedule):
    """The largest steps whose weights keep a share of the particles.

    Attributes:
        share: of the particles that count after a step, between 0 and 1; larger takes more temperatures.
        most: steps at most; the last one then goes to the target whatever it costs.
    """

    share: float = 0.5
    most: int = eqx.field(static=True, default=MOST)

    def __check_init__(self) -> None:
        _check_share("EffectiveSize", "share", self.share)
        _check_most("EffectiveSize", self.most)

    def following(self, between: Interpolation, index: Array, beta: Array, ratio: Array, log_weight: Array) -> Array:
        weight = jax.nn.log_softmax(_with_density(ratio, log_weight))

        def kept(after: Array) -> Array:
            grown = _increments(between, ratio, beta, after)
            return jnp.exp(2.0 * logsumexp(weight + grown) - logsumexp(weight + 2.0 * grown))

        return _furthest(lambda after: kept(after) >= self.share, beta, index + 1 >= self.most)


class EqualRejection(Schedule):
    """Steps over which two copies would refuse to trade places at one rate.

    Attributes:
        rejection: rate of refused swaps between neighbours, between 0 and 1.
        most: steps at most; the last one then goes to the target whatever it costs.
    """

    rejection: float = 0.3
    most: int = eqx.field(static=True, default=MOST)

    def __check_init__(self) -> None:
        _check_share("EqualRejection", "rejection", self.rejection)
        _check_most("EqualRejection", self.most)

    def following(self, between: Interpolation, index: Array, beta: Array, ratio: Array, log_weight: Array) -> Array:
        there = jnp.argsort(ratio)
        ratio, weight = ratio[there], jax.nn.log_softmax(_with_density(ratio, log_weight))[there]

        def refused(after: Array) -> Array:
            moved = jax.nn.softmax(weight + _increments(between, ratio, beta, after))
            return rejection(jnp.exp(weight), moved)

        return _furthest(lambda after: refused(after) <= self.rejection, beta, index + 1 >= self.most)


def rejection(here: Float[Array, " n"], there: Float[Array, " n"]) -> Float[Array, ""]:
    r"""How often copies at two temperatures refuse to trade places.

    A swap is accepted with probability $\min(1, e^{g})$, where $g$ is below zero if the copy at the larger beta has the
    larger ratio. On average this is the probability that a draw of one law has a smaller ratio than one of the other,
    less that of the opposite.

    Args:
        here: weights of points, in increasing order of their ratios, under the law at the smaller beta.
        there: under that at the larger one; both add to one.

    >>> round(float(rejection(jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75]))), 3)  # 0.375 - 0.125
    0.25
    """
    below = jnp.cumsum(here) - here
    above = 1.0 - jnp.cumsum(here)
    return jnp.sum(there * (below - above))


def equal_rejection(betas: Float[Array, " rungs"], rejected: Float[Array, " gaps"]) -> Float[Array, " rungs"]:
    """A ladder of the same length over which every pair of neighbours would refuse the same share of swaps.

    The barrier grows along the old ladder as the rates say, and evenly along the new one.

    >>> [round(float(b), 3) for b in equal_rejection(jnp.array([0.0, 0.5, 1.0]), jnp.array([0.6, 0.2]))]
    [0.0, 0.333, 1.0]
    """
    barrier = jnp.concatenate([jnp.zeros(1, betas.dtype), jnp.cumsum(jnp.maximum(rejected, 1e-3))])
    even = jnp.linspace(0.0, 1.0, betas.shape[0], dtype=betas.dtype) * barrier[-1]
    return jnp.interp(even, barrier, betas).at[0].set(betas[0]).at[-1].set(betas[-1])


def power_ladder(steps: int, power: float) -> Ladder:
    r"""The betas $(k / K)^{power}$; above 1 the power puts more of them near the reference.

    >>> power_ladder(2, 2.0).betas
    (0.0, 0.25, 1.0)
    """
    return Ladder((*((k / steps) ** power for k in range(steps)), 1.0))


def kept_static(given: Any) -> Any:
    """Betas as a ladder, which is static; anything else as it is."""
    return Ladder(tuple(given)) if isinstance(given, tuple | list | np.ndarray) else given


def as_schedule(owner: str, given: Any, power: float = 3.0) -> Schedule:
    """A schedule of what users write: how many steps, the betas, or a schedule.

    Raises:
        SpecError: something else.
    """
    if isinstance(given, Schedule):
        return given
    if isinstance(given, Integral) and not isinstance(given, bool) and given >= 1:
        return power_ladder(int(given), power)
    if isinstance(given, tuple | list | np.ndarray) and all(isinstance(beta, Real) for beta in given):
        return Ladder(tuple(given))
    raise SpecError(
        f"{owner}(temperatures={given!r}): a number of steps, betas from 0 to 1, or a schedule such as"
        " gm.adapt.EffectiveSize(0.5) is needed."
    )


def _increments(between: Interpolation, ratio: Array, beta: Array, after: Array) -> Array:
    """What log-weights grow by; a point without density has none afterwards."""
    return jnp.where(ratio == -jnp.inf, -jnp.inf, between.increment(ratio, beta, after))


def _with_density(ratio: Array, log_weight: Array) -> Array:
    """Weights of the points that have any density; the others are lost at once, however short the step is."""
    return jnp.where(ratio == -jnp.inf, -jnp.inf, log_weight)


def _furthest(allowed: Callable[[Array], Array], beta: Array, last: Array) -> Array:
    """The largest beta that is allowed, by halving; 1 where that is allowed, or where no step is left."""
    low, high = beta, jnp.ones_like(beta)

    def halve(_: Any, at: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = at
        middle = 0.5 * (low + high)
        fine = allowed(middle)
        return jnp.where(fine, middle, low), jnp.where(fine, high, middle)

    found, _ = jax.lax.fori_loop(0, HALVINGS, halve, (low, high))
    found = jnp.maximum(found, beta + CREEP * (1.0 - beta))  # never stands still
    return jnp.where(allowed(high) | last, high, found)


def _check_share(owner: str, name: str, value: float) -> None:
    if isinstance(value, int | float) and not 0.0 < value < 1.0:
        raise SpecError(f"{owner}({name}={value}): a number between 0 and 1 is needed.")


def _check_most(owner: str, most: int) -> None:
    if not isinstance(most, Integral) or most < 1:
        raise SpecError(f"{owner}(most={most!r}): at least one step is needed.")
