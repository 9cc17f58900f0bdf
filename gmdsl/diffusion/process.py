r"""Forward processes that add Gaussian noise: $x_t = \alpha(t)\, x_0 + \sigma(t)\, \epsilon$.

A process is the two functions $\alpha$ and $\sigma$; everything else follows. It is the law of the
stochastic differential equation $dx = f(t)\, x\, dt + g(t)\, dB$ with

$$f = \frac{d \log \alpha}{dt}, \qquad g^2 = \frac{d \sigma^2}{dt} - 2 f \sigma^2,$$

and the score, the noise, the clean datum and the velocity of the flow are four names of one vector.

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
    def prior_scale(self) -> Scalar:
        """Standard deviation of the Gaussian from which the way back starts."""
        return self.sigma(jnp.asarray(self.t_max, float)) if self.stationary is None else jnp.asarray(self.stationary)

    def drift(self, t: Scalar) -> Scalar:
        """The coefficient f of x in the stochastic differential equation, per unit of time."""
        t = self._inside(t)
        value, slope = jax.jvp(self.alpha, (t,), (jnp.ones_like(t),))
        return slope / value

    def diffusion(self, t: Scalar) -> Scalar:
        """The coefficient g of the Brownian motion, in units of the data per root of time."""
        t = self._inside(t)
        variance, slope = jax.jvp(lambda t: self.sigma(t) ** 2, (t,), (jnp.ones_like(t),))
        return jnp.sqrt(jnp.maximum(slope - 2.0 * self.drift(t) * variance, 0.0))

    def transition(self, s: Scalar, t: Scalar) -> Transition:
        """The law of x_t given x_s, for s <= t."""
        scale = self.alpha(t) / self.alpha(s)
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
        return (x + self.sigma(t) ** 2 * score) / self.alpha(t)

    def score_of(self, x: Array, denoised: Array, t: Scalar) -> Array:
        """Tweedie's identity read backwards: the score from the denoised datum."""
        return (self.alpha(t) * denoised - x) / self.sigma(t) ** 2

    def noise_of(self, x: Array, denoised: Array, t: Scalar) -> Array:
        """The expected noise in x_t, in units of its standard deviation."""
        return (x - self.alpha(t) * denoised) / self.sigma(t)

    def velocity(self, x: Array, score: Array, t: Scalar) -> Array:
        r"""The probability-flow velocity $f x - \tfrac12 g^2 s$: it moves points so that their law is that of x_t."""
        return self.drift(t) * x - 0.5 * self.diffusion(t) ** 2 * score

    def level(self, t: Scalar) -> Scalar:
        r"""The level of noise as a number from 0 (at `t_min`) to 1 (at `t_max`), linear in $\log(\sigma/\alpha)$."""
        low, high = self._log_ratio(jnp.asarray(self.t_min)), self._log_ratio(jnp.asarray(self.t_max))
        return (self._log_ratio(jnp.maximum(t, self.t_min)) - low) / (high - low)

    def time_at(self, level: Array) -> Array:
        """The time of a level of noise: the inverse of `level`, by a table that is dense near both ends."""
        with jax.ensure_compile_time_eval():  # a constant of the program, unless the process is traced
            times = self._times()
            levels = _levels(self, times)
        return jnp.interp(level, levels, times)

    def _times(self) -> Array:
        known = isinstance(self.t_min, float | int) and isinstance(self.t_max, float | int)
        of: Any = np if known else jnp
        early = of.geomspace(self.t_min, self.t_max, 513)
        late = self.t_max - of.geomspace(1e-4 * self.t_max, self.t_max - self.t_min, 513)
        times = of.sort(of.concatenate([early, late[:-1], of.linspace(self.t_min, self.t_max, 513)[1:-1]]))
        return jnp.asarray(times, dtype_of(Real()))

    def _log_ratio(self, t: Scalar) -> Scalar:
        t = jnp.asarray(t, float)
        return jnp.log(self.sigma(t)) - jnp.log(self.alpha(t))

    def _inside(self, t: Scalar) -> Scalar:
        """A time at which derivatives are finite: just after 0 instead of 0."""
        t = jnp.asarray(t, float)
        return jnp.maximum(t, 1e-12 * self.t_max)


@eqx.filter_jit
def _levels(process: Process, times: Array) -> Array:
    """Levels of noise from the first time to the last, in one program: by operations it would be thirty to compile."""
    ratios = jax.vmap(process._log_ratio)(times)
    return (ratios - ratios[0]) / (ratios[-1] - ratios[0])
