r"""Carrying points from one time to another without noise, by the flow whose points have the law $p_t$ at every time.

$dx/dt = f x - \tfrac12 g^2 \nabla \log p_t(x)$. Forward it turns data into noise as the process does, in law; for
Brownian noise of rate $\delta$ it is $dx = -\tfrac{\delta^2}{2} \nabla \log p_t\, dt$: data descend the score, the
tutorial's deterministic forward form. Backward it is the probability flow. Either way one point goes to one point.

Reference:
    Song et al., *Score-based generative modeling through SDEs*, 2021, arXiv:2011.13456 (section 4.3); Maoutsa, Reich,
    Opper, *Interacting particle solutions of Fokker-Planck equations through gradient-log-density estimation*, 2020,
    arXiv:2006.00702.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.process import Scalar


def carried(
    family: FlatFamily, x: Float[Array, " dim"], s: Scalar, t: Scalar, rtol: float, atol: float
) -> Float[Array, " dim"]:
    """The place at time t of a point that is at x at time s; NaN where the solver needs more than 20,000 steps."""
    skeleton, arrays = strip(family)
    return _carried(skeleton, arrays, x, jnp.asarray(s, float), jnp.asarray(t, float), (rtol, atol))


def check_tolerances(rtol: Any, atol: Any) -> None:
    """Refuses tolerances that are not above zero."""
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not isinstance(value, int | float | np.number) or not value > 0:
            raise SpecError(f"carry({name}={value!r}): a number above 0 is needed.")


@functools.partial(jax.jit, static_argnums=0)
def _carried(skeleton: Skeleton, arrays: Any, x: Array, s: Array, t: Array, tolerances: Any) -> Array:
    import diffrax

    family = skeleton.fill(arrays)
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, x, _: family.denoiser.velocity(family.process, x, t)),
        diffrax.Dopri5(),
        s,
        t,
        None,
        x,
        stepsize_controller=diffrax.PIDController(rtol=tolerances[0], atol=tolerances[1]),
        max_steps=20_000,
        throw=False,
    )
    return jnp.where(found.result == diffrax.RESULTS.successful, found.ys[-1], jnp.nan)
