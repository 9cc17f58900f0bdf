r"""Forward processes that add Gaussian noise: $x_t = \alpha(t)\, x_0 + \sigma(t)\, \epsilon$.

A process is the two functions $\alpha$ and $\sigma$; everything else follows. It is the law of the
stochastic differential equation $dx = f(t)\, x\, dt + g(t)\, dB$ with

$$f = \frac{d \log \alpha}{dt}, \qquad g^2 = \frac{d \sigma^2}{dt} - 2 f \sigma^2,$$

and the score, the noise, the clean datum and the velocity of the flow are four names of one vector. Where no signal
is left ($\alpha = 0$, as at the end of a straight interpolant) $f$ and $g$ are infinite, although the velocity
$\dot\alpha\, E[x_0 \mid x_t] - \tfrac12 \frac{d \sigma^2}{dt} s$ is not: it is computed in this form, and $f$ and $g$
stay what they are at `t_signal`.

Reference:
    Song et al., *Score-based generative modeling through SDEs*, 2021, arXiv:2011.13456;
    Kingma et al., *Variational diffusion models*, 2021, arXiv:2107.00630 (transition and bridge).
"""

import abc
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.settings import Checked
from gmdsl.spaces.space import Real, dtype_of

type Scalar = Float[Array, ""]


class Transition(NamedTuple):
    r"""The Gaussian $q(x_t \mid x_s) = N(\text{scale}\cdot x_s,\ \text{std}^2 I)$."""

    scale: Scalar
    std: Scalar


class Bridge(NamedTuple):
    r"""The Gaussian $q(x_s \mid x_t, x_0) = N(a_t x_t + a_0 x_0,\ \text{std}^2 I)$ for $s < t$."""

    noisy: Scalar
    clean: Scalar
    std: Scalar


class Process(Checked, eqx.Module):
    r"""A Gaussian process of noising. Subclasses give `alpha` and `sigma`.

    Time runs from 0 (data) to `t_max` (noise).

    Class attributes:
        stationary: standard deviation of the law that the process tends to for data of any law; None
            where it depends on the data, and then `sigma(t_max)` is taken.
    """

    t_max: eqx.AbstractVar[float]

    stationary: ClassVar[float | None] = None

    @abc.abstractmethod
    def alpha(self, t: Scalar) -> Scalar:
        """What is left of the signal at time t, a factor; 1 at t = 0."""

    @abc.abstractmethod
    def sigma(self, t: Scalar) -> Scalar:
        """Standard deviation of the noise at time t, in the units of the data."""

    @property
    def t_min(self) -> float:
        """The first time at which a learned family is used: below it the noise is too small to learn."""
        return 1e-3 * self.t_max

    @property
    def t_signal(self) -> float:
        """The last time with signal enough to divide by `alpha`: `t_max`, unless almost none is left there."""
        return self.t_max

    @property
    def prior_scale(self) -> Scalar:
        """Standard deviation of the Gaussian from which the way back starts."""
        return self.sigma(jnp.asarray(self.t_max, float)) if self.stationary is None else jnp.asarray(self.stationary)

    def drift(self, t: Scalar) -> Scalar:
        """The coefficient f of x in the stochastic differential equation, per unit of time."""
        t = jnp.minimum(self._inside(t), self.t_signal)
        return _slope(self.alpha, t) / self.alpha(t)

    def diffusion(self, t: Scalar) -> Scalar:
        """The coefficient g of the Brownian motion, in units of the data per root of time."""
        t = jnp.minimum(self._inside(t), self.t_signal)
        return jnp.sqrt(jnp.maximum(self._growth(t) - 2.0 * self.drift(t) * self.sigma(t) ** 2, 0.0))

    def transition(self, s: Scalar, t: Scalar) -> Transition:
        """The law of x_t given x_s, for s <= t."""
        before = self.alpha(s)
        scale = jnp.where(jnp.equal(s, t), 1.0, self.alpha(t) / jnp.where(before == 0.0, 1.0, before))
        return Transition(scale, jnp.sqrt(jnp.maximum(self.sigma(t) ** 2 - (scale * self.sigma(s)) ** 2, 0.0)))

    def bridge(self, s: Scalar, t: Scalar) -> Bridge:
        """The law of x_s given x_t and x_0, for s < t."""
        step, before, after = self.transition(s, t), self.sigma(s) ** 2, self.sigma(t) ** 2
        noisy = step.scale * before / after
        return Bridge(noisy, self.alpha(s) * step.std**2 / after, jnp.sqrt(before / after) * step.std)

    def noisy(self, x_0: Array, noise: Array, t: Scalar) -> Array:
        """A noised datum from the datum and standard normal noise."""
        return self.alpha(t) * x_0 + self.sigma(t) * noise

    def denoised(self, x: Array, score: Array, t: Scalar) -> Array:
        r"""Tweedie's identity (Vincent's in the tutorial): $E[x_0 \mid x_t] = (x_t + \sigma^2 s) / \alpha$."""
        return (x + self.sigma(t) ** 2 * score) / self._signal(t)

    def score_of(self, x: Array, denoised: Array, t: Scalar) -> Array:
        """Tweedie's identity read backwards: the score from the denoised datum."""
        return (self.alpha(t) * denoised - x) / self.sigma(t) ** 2

    def noise_of(self, x: Array, denoised: Array, t: Scalar) -> Array:
        """The expected noise in x_t, in units of its standard deviation."""
        return (x - self.alpha(t) * denoised) / self.sigma(t)

    def velocity(self, x: Array, score: Array, t: Scalar) -> Array:
        r"""The probability-flow velocity $f x - \tfrac12 g^2 s$: it moves points so that their law is that of x_t.

        Where no signal is left the score does not tell the clean datum; `velocity_of` knows it.
        """
        return self.velocity_of(self.denoised(x, score, t), score, t)

    def velocity_of(self, denoised: Array, score: Array, t: Scalar) -> Array:
        r"""The velocity as $\dot\alpha\, E[x_0 \mid x_t] - \tfrac12 \frac{d\sigma^2}{dt} s$, finite at every time."""
        t = self._inside(t)
        return _slope(self.alpha, t) * denoised - 0.5 * self._growth(t) * score

    def level(self, t: Scalar) -> Scalar:
        r"""The level of noise as a number from 0 (at `t_min`) to 1 (at `t_signal`), linear in $\log(\sigma/\alpha)$."""
        low, high = self._log_ratio(jnp.asarray(self.t_min)), self._log_ratio(jnp.asarray(self.t_signal))
        return (self._log_ratio(jnp.clip(t, self.t_min, self.t_signal)) - low) / (high - low)

    def time_at(self, level: Array) -> Array:
        """The time of a level of noise: the inverse of `level`, by a table that is dense near both ends."""
        with jax.ensure_compile_time_eval():  # a constant of the program, unless the process is traced
            times = self._times()
            levels = _levels(self, times)
        return jnp.interp(level, levels, times)

    def _times(self) -> Array:
        first, last = self.t_min, self.t_signal
        known = isinstance(first, float | int) and isinstance(last, float | int)
        of: Any = np if known else jnp
        early = of.geomspace(first, last, 513)
        late = last - of.geomspace(1e-4 * last, last - first, 513)
        times = of.sort(of.concatenate([early, late[:-1], of.linspace(first, last, 513)[1:-1]]))
        return jnp.asarray(times, dtype_of(Real()))

    def _log_ratio(self, t: Scalar) -> Scalar:
        t = jnp.asarray(t, float)
        return jnp.log(self.sigma(t)) - jnp.log(self.alpha(t))

    def _growth(self, t: Scalar) -> Scalar:
        """The derivative of the variance of the noise."""
        return _slope(lambda t: self.sigma(t) ** 2, t)

    def _signal(self, t: Scalar) -> Scalar:
        """What is left of the signal, or what is left at `t_signal` if that is more: a number to divide by."""
        return self.alpha(jnp.minimum(jnp.asarray(t, float), self.t_signal))

    def _inside(self, t: Scalar) -> Scalar:
        """A time at which derivatives are finite: just after 0 instead of 0."""
        t = jnp.asarray(t, float)
        return jnp.maximum(t, 1e-12 * self.t_max)


def _slope(function: Any, t: Scalar) -> Scalar:
    """The derivative of a function of time."""
    return jax.jvp(function, (t,), (jnp.ones_like(t),))[1]


@eqx.filter_jit
def _levels(process: Process, times: Array) -> Array:
    """Levels of noise from the first time to the last, in one program: by operations it would be thirty to compile."""
    ratios = jax.vmap(process._log_ratio)(times)
    return (ratios - ratios[0]) / (ratios[-1] - ratios[0])
