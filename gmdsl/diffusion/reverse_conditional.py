r"""One step back: the law of $x_{t - \Delta}$ given $x_t$, exactly, and as the Gaussian of the tutorial.

By Bayes' rule $p(x_s \mid x_t) \propto p_s(x_s)\, q(x_t \mid x_s)$ with $q = N(r x_s, \tau^2 I)$. For a mixture of
Gaussians this is a mixture: each component $N(m_k, V_k)$ of $p_s$ is conditioned on its own, and the weights are how
well it explains $x_t$. The tutorial expands $\log p$ to first order about $x_t$ instead and gets one Gaussian,

$$N\big((x_t + \tfrac{\tau^2}{r} \nabla \log p_t(x_t)) / r,\ (\tau / r)^2 I\big),$$

for Brownian noise $N(x_t + \sigma^2 \Delta\, s(x_t),\ \sigma^2 \Delta I)$. Its mean is exact (Tweedie's identity for
the noise of one step); its covariance lacks $\sigma^4 \Delta^2\, \nabla^2 \log p_t$, so that

$$D_{KL}(\text{exact} \| \text{Gaussian}) = \tfrac14 \sigma^4 \Delta^2 \| \nabla^2 \log p_t(x_t) \|_F^2 + O(\Delta^3).$$

Reference:
    Sohl-Dickstein et al., *Deep unsupervised learning using nonequilibrium thermodynamics*, 2015, arXiv:1503.03585.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.diffusion.denoiser import Denoiser
from gmdsl.diffusion.process import Process, Scalar
from gmdsl.graph.factors.gaussian_mixture import GaussianMixtureFactor
from gmdsl.spaces.layout import Layout


def exact_factor(
    process: Process, denoiser: Denoiser, declared: Layout, x: Array, s: Scalar, t: Scalar
) -> GaussianMixtureFactor:
    """The law of the variables at time s given the flat vector x at time t > s.

    Raises:
        SpecError: the score is learned, or s = 0 where the data have no density.
    """
    if not isinstance(s, Tracer) and float(s) == 0.0 and not denoiser.zero_is_finite and denoiser.kind == "exact":
        raise SpecError(
            "reverse_conditional(x, t, dt=t): at t = 0 this family has no density. Take dt below t, or"
            " family.denoise(x, t), the mean of the data given x."
        )
    factor = denoiser.earlier(process, x, s, t, declared)
    if factor is None:
        raise SpecError(
            "reverse_conditional(x, t, dt): the score is learned, and the exact law one step back is not known. Take"
            " the Gaussian of a small step, reverse_gaussian(x, t, dt)."
        )
    return factor


def gaussian_factor(
    process: Process, denoiser: Denoiser, declared: Layout, x: Array, s: Scalar, t: Scalar
) -> GaussianMixtureFactor:
    """The tutorial's Gaussian in its place.

    Raises:
        SpecError: nothing of x_s is left in x_t.
    """
    step = process.transition(s, t)
    if not isinstance(step.scale, Tracer) and float(step.scale) == 0.0:
        raise SpecError(
            f"reverse_gaussian(x, t={float(t)}, ...): no signal is left at this time, and the expansion about x_t says"
            " nothing. Take an earlier time, or reverse_conditional where the family is exact."
        )
    mean = (x + step.std**2 / step.scale * denoiser.score(process, x, t)) / step.scale
    spectrum = jnp.full_like(x, (step.std / step.scale) ** 2)
    return GaussianMixtureFactor(declared, jnp.zeros(1, x.dtype), mean[None], spectrum[None], None)


def check_step(operation: str, t: Any, dt: Any) -> None:
    """Refuses a step that is not above 0 or goes past the data."""
    if isinstance(t, Tracer) or isinstance(dt, Tracer):
        return
    if np.shape(dt) != ():
        raise SpecError(f"{operation}(x, t, dt): dt has shape {np.shape(dt)}, one step is needed. Use jax.vmap.")
    if not 0.0 < float(dt) <= float(t):
        raise SpecError(f"{operation}(x, t={float(t)}, dt={float(dt)}): a step above 0 and at most t is needed.")
