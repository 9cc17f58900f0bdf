r"""The variational form of a noised family: a bound of $\log p(x_0)$ as a sum of divergences, in nats.

The way back from noise in steps, $x_T \sim N(0, \rho^2 I)$, $x_s \sim p_\theta(x_s \mid x_t)$, is a model of the
whole path, and by Jensen's inequality

$$-\log p_\theta(x_0) \le \underbrace{D_{KL}(q(x_T \mid x_0) \| p(x_T))}_{L_T}
  + \sum_t \underbrace{E\, D_{KL}(q(x_s \mid x_t, x_0) \| p_\theta(x_s \mid x_t))}_{L_t}
  \underbrace{- E \log p_\theta(x_0 \mid x_{t_1})}_{L_0}.$$

The bridge $q(x_s \mid x_t, x_0)$ is a Gaussian; $p_\theta$ is that Gaussian with the denoised datum in place of
$x_0$, so that only means differ, and with $\text{SNR} = \alpha^2 / \sigma^2$

$$L_t = \tfrac12 (\text{SNR}(s) - \text{SNR}(t))\, E \|D(x_t, t) - x_0\|^2, \qquad
  p_\theta(x_0 \mid x_{t_1}) = N(D(x_{t_1}),\ I / \text{SNR}(t_1)).$$

The tutorial prints a bridge without variance, for which every divergence is infinite, no $L_T$ and $L_0$, and no factor
one half. Levels are spread evenly in log noise. With the exact denoiser the mean gap falls as one over their number, to
that of the last law and the Gaussian which stands for it.

Reference:
    Ho, Jain, Abbeel, 2020, arXiv:2006.11239 (equations 5 to 8); Kingma et al., *Variational diffusion models*, 2021,
    arXiv:2107.00630 (the form in SNR).
"""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.core.random.keys import seed_key
from gmdsl.core.settings import checked_settings
from gmdsl.core.user_arrays import as_numbers
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.noised import Noised
from gmdsl.diffusion.process import Process, Scalar
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model
from gmdsl.spaces.layout import flatten

BLOCK = 64  # data side by side


class BoundTerms(NamedTuple):
    r"""The bound and its terms, in nats; arrays have a leading axis where there were several data.

    Attributes:
        log_likelihood: the lower bound of $\log p(x_0)$, minus the sum of the terms below.
        standard_error: its Monte Carlo error.
        prior: $L_T$.
        steps: $L_t$, one per step, from the data to the noise.
        data: $L_0$.
        times: $t_1$ to $t_{max}$, one more than there are steps.
        bits_per_dim: minus the bound in bits, per coordinate; add 8 for pixels of 256 values that were scaled to [0,
            1].
    """

    log_likelihood: np.ndarray
    standard_error: np.ndarray
    prior: np.ndarray
    steps: np.ndarray
    data: np.ndarray
    times: np.ndarray
    bits_per_dim: np.ndarray


@checked_settings
def variational_bound(family: Noised, data: Any, *, steps: int = 100, draws: int = 16, seed: int = 0) -> BoundTerms:
    """The variational bound of the log-likelihood of data under a noised family, with every term.

    Args:
        family: an exact or learned family, its inputs bound.
        data: one datum, or one per row: an array where there is one variable, else a dict.
        steps: levels of noise; the bound is of the way back in so many steps, and grows with them.
        draws: noises per datum and level.
        seed: of the noise.

    Raises:
        SpecError: other names or shapes; fewer than two levels.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> family = gm.noise(gm.joint(x=dist.Normal(0.0, 0.5)), gm.VP())
    >>> bound = gm.variational_bound(family, [0.2, -0.4], steps=1000)
    >>> bound.steps.shape, [round(float(v), 1) for v in bound.log_likelihood]  # log p is -0.31 and -0.55
    ((2, 999), [-0.3, -0.6])
    """
    check_levels("variational_bound", steps)
    if not isinstance(family, Noised):
        told = (
            mistaken(family) if not isinstance(family, Model) else "a model; noise it first, gm.noise(model, process)"
        )
        raise SpecError(f"variational_bound(...): a noised family is needed first, not {told}.")
    if not isinstance(draws, int) or draws < 1:
        raise SpecError(f"variational_bound(draws={draws!r}): a whole number of at least 1 is needed.")
    flat = family.flat
    flat.check_score("variational_bound(...)")
    x, single = _rows(family, data)
    keys = jax.random.split(seed_key("log_likelihood", seed), len(x))
    skeleton, arrays = strip(flat)
    prior, terms = (np.asarray(a, float) for a in _terms(skeleton, steps, draws, arrays, keys, x))
    means = terms.mean(axis=1)
    bound = -(prior + means.sum(axis=-1))
    spread = terms.std(axis=1, ddof=min(1, draws - 1)) / math.sqrt(draws) if draws > 1 else np.full(means.shape, np.nan)
    found = BoundTerms(
        bound,
        np.sqrt(np.sum(spread**2, axis=-1)),
        prior,
        means[:, 1:],
        means[:, 0],
        np.asarray(level_times(flat.process, steps)),
        -bound / (flat.dim * math.log(2.0)),
    )
    return found._replace(**{n: v[0] for n, v in found._asdict().items() if n != "times"}) if single else found


def level_times(process: Process, steps: int) -> Float[Array, " steps"]:
    """The times of the levels: even in log noise, from `t_min` to `t_max`."""
    return process.time_at(jnp.linspace(0.0, 1.0, steps)).at[-1].set(process.t_max)


def level_weights(process: Process, times: Float[Array, " steps"]) -> Float[Array, " steps"]:
    """What the squared error of the denoiser counts at each level: SNR(s) - SNR(t), and SNR(t_1) at the first."""
    snr = (process.alpha(times) / process.sigma(times)) ** 2
    return jnp.concatenate([snr[:1], snr[:-1] - snr[1:]])


def prior_term(process: Process, x: Float[Array, " dim"]) -> Scalar:
    """L_T of a datum: the divergence of its last law from the Gaussian that the way back starts from."""
    last, scale = jnp.asarray(process.t_max, float), process.prior_scale
    ratio = (process.sigma(last) / scale) ** 2
    return 0.5 * jnp.sum(ratio + (process.alpha(last) * x / scale) ** 2 - 1.0 - jnp.log(ratio))


def data_constant(process: Process, first: Scalar, dim: int) -> Scalar:
    """What L_0 is beside the squared error: the constant of the Gaussian of the datum given the first level."""
    ratio = process.sigma(first) / process.alpha(first)
    return dim * (jnp.log(ratio) + 0.5 * math.log(2.0 * math.pi))


def noise_left(process: Process, noise: Float[Array, " dim"], t: Scalar, spread: Scalar) -> Scalar:
    """What the noise itself adds to half the squared error of a datum, less its mean: a control variate of mean zero.

    For Gaussian data of variance `spread` the denoiser leaves this share of the noise; most of the Monte Carlo error of
    the levels near the data is that the squared noise is not its mean.
    """
    alpha, variance = process.alpha(t), process.sigma(t) ** 2
    left = alpha * spread / (alpha**2 * spread + variance)
    return 0.5 * left**2 * variance * (jnp.sum(noise**2) - noise.size)


def check_levels(operation: str, steps: Any) -> None:
    """Refuses a number of levels below two."""
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 2:
        raise SpecError(f"{operation}(steps={steps!r}): a whole number of at least 2 is needed.")


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _terms(skeleton: Skeleton, steps: int, draws: int, arrays: Any, keys: Array, x: Array) -> tuple[Array, Array]:
    """L_T of each datum, and L_0 with all L_t by datum and draw."""
    family: FlatFamily = skeleton.fill(arrays)
    process = family.process
    times = level_times(process, steps)
    weights = level_weights(process, times)
    spread = jnp.where(len(x) > 1, jnp.mean(jnp.var(x, axis=0)), 1.0)

    def error(key: Array, x_0: Array, t: Array) -> Array:
        noise = jax.random.normal(key, (draws, family.dim), x_0.dtype)
        denoised = jax.vmap(lambda noise: family.denoise(process.noisy(x_0, noise, t), t))(noise)
        known = jax.vmap(lambda noise: noise_left(process, noise, t, spread))(noise)
        return 0.5 * jnp.sum((denoised - x_0) ** 2, axis=-1) - known

    def one(at: Any) -> tuple[Array, Array]:
        key, x_0 = at
        errors = jax.vmap(error, (0, None, 0), 1)(jax.random.split(key, steps), x_0, times)
        return prior_term(process, x_0), (weights * errors).at[:, 0].add(data_constant(process, times[0], family.dim))

    return jax.lax.map(one, (keys, x), batch_size=BLOCK)


def _rows(family: Noised, data: Any) -> tuple[Float[Array, "n dim"], bool]:
    """Data as flat rows, and whether they were one point without a leading axis."""
    named = data if isinstance(data, Mapping) else {family.free[0]: data}
    if set(named) != set(family.free):
        raise SpecError(
            f"variational_bound(family, ...): data for {', '.join(map(str, named))}, but the variables are"
            f" {', '.join(family.free)}."
        )
    arrays = {name: as_numbers(f"variational_bound({name})", named[name]).astype(float) for name in family.free}
    leading = set()
    for name, space in family.declared:
        if not np.isfinite(arrays[name]).all():
            raise SpecError(f"variational_bound({name}): a value is not finite, and has no likelihood. Take it out.")
        shape = arrays[name].shape
        extra = len(shape) - len(space.shape)
        if extra not in (0, 1) or shape[extra:] != space.shape:
            raise SpecError(
                f"variational_bound({name}): shape {shape}, but one datum was declared {space.shape}. Pass that, or one"
                " row per datum."
            )
        leading.add(shape[:extra])
    if len(leading) > 1:
        raise SpecError(
            f"variational_bound(...): the lengths differ, {sorted(leading)}. Give one row per datum to each."
        )
    single = leading == {()}
    rows = {n: jnp.asarray(a[None] if single else a, float) for n, a in arrays.items()}
    return flatten(family.declared, rows), single
