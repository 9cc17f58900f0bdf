r"""How far the noisy end of a family is from the Gaussian from which the way back starts.

For x drawn from that Gaussian, of standard deviation $\rho$, the mean of
$\tfrac12 \rho^2\, \|s(x, T) + x/\rho^2\|^2$ is a relative Fisher information in nats. For a shift it is the divergence
$D_{KL}(N(0, \rho^2) \| p_T)$, and a bound of it where the logarithm of p_T is bent at least as much as that of the
Gaussian (logarithmic Sobolev inequality). Only the score is asked for, so it is known for learned families, too. The
way back starts from the Gaussian all the same, as it is defined, and the user is told.

Reference:
    Gross, *Logarithmic Sobolev inequalities*, 1975; Franzese et al., *How much is enough? A study on diffusion times in
    score-based generative models*, 2023, arXiv:2206.05173.
"""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.core.random.keys import seed_key
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.noised import Noised

DRAWS = 256
LEAST = 0.02  # nats that are told
EACH = 2e-3  # and nats per dimension, which the error of a network may be

ADVICE = "Take more noise (a larger sigma or t_max), centre the data, or give"


def warn_of_far_end(operation: str, family: Noised, remedy: str) -> None:
    """Warns of a family whose noisy end is far from the Gaussian that stands for it.

    Args:
        operation: what the user called, for the warning.
        family: a noised family.
        remedy: the argument by which the user gives the law of the end.
    """
    if text := far_end(family):
        law = " family.at(t_max)," if family.denoiser.kind != "learned" else ""
        warnings.warn(f"{operation}: {text}. {ADVICE} {remedy},{law} the law at t_max.", UserWarning, stacklevel=4)


def far_end(family: Noised) -> str:
    """What is wrong with the Gaussian start of a family, in words; empty where it is near enough."""
    nats = nats_from_gaussian(family.flat)
    if not nats > max(LEAST, EACH * family.flat.dim):
        return ""
    return f"the noisy end of {family.process} is about {nats:.2g} nats from the Gaussian that the way back starts from"


def nats_from_gaussian(family: FlatFamily) -> float:
    """The relative Fisher information of the noisy end and its Gaussian, in nats; NaN where the score is not finite.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> shifted = gm.noise(gm.joint(x=dist.Normal(3.0, 0.01)), gm.Brownian(3.0))
    >>> round(nats_from_gaussian(shifted.flat), 2)  # a shift by one standard deviation
    0.5
    """
    x = jax.random.normal(seed_key("sample", 0), (DRAWS, family.dim))
    return float(np.asarray(_information(*strip(family), x), float).mean())


@functools.partial(jax.jit, static_argnums=0)
def _information(skeleton: Skeleton, arrays: Any, x: Any) -> Any:
    family = skeleton.fill(arrays)
    scale, end = family.process.prior_scale, jnp.asarray(family.process.t_max, float)

    def one(x: Any) -> Any:
        return 0.5 * jnp.sum((scale * family.score(scale * x, end) + x) ** 2)

    return jax.vmap(one)(x)
