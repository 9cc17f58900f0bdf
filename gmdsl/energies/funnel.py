r"""Neal's funnel: the scale of all but one coordinate is the exponential of that one.

$$v \sim N(0, s^2), \qquad x_i \mid v \sim N(0, e^{v}) \quad (e^v \text{ a variance}), \qquad i = 1, \ldots, dim - 1.$$

The neck is so narrow and the mouth so wide that no step fits both: samplers that do not say so fail here in silence.
Its coordinates $z_i = x_i e^{-v/2}$ are independent Gaussians, which is the non-centred form. $E x_i^2 = e^{s^2/2}$,
but the fourth moment is so large that means of $x_i^2$ say little: look at v.

Reference:
    Neal, *Slice sampling*, Annals of Statistics 31, 2003, section 8.
"""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from gmdsl.energies.truths.arguments import check_number, check_whole
from gmdsl.energies.truths.known_target import KnownTarget, draw_ancestrally
from gmdsl.models.declare.joint import joint
from gmdsl.models.operators.reparametrize import NonCentred


def funnel(dim: int = 10, scale: float = 3.0, *, centred: bool = True) -> KnownTarget:
    """The funnel of `v` and the vector `x` of dim - 1 elements.

    Args:
        dim: how many coordinates there are with `v`, at least 2.
        scale: standard deviation of `v`.
        centred: whether `v` and `x` are sampled; otherwise `v` and `x_raw`, the standardised `x`, and `x` is computed.

    Returns:
        The normalised target with moments and draws. The reference of the centred form has Student's law for `x`,
        whose tails cover those of a Gaussian of random scale.

    Raises:
        SpecError: fewer than 2 dimensions, or a scale not above zero.

    >>> import gmdsl as gm
    >>> gm.energies.funnel(10).model.free, gm.energies.funnel(10, centred=False).model.free
    (('v', 'x'), ('v', 'x_raw'))
    """
    size = check_whole("funnel", "dim", dim, 2) - 1
    scale = check_number("funnel", "scale", scale, above=0.0)
    model = joint(v=dist.Normal(0.0, scale), x=lambda v: dist.Normal(0.0, jnp.exp(0.5 * v)).expand([size]))
    mean = {"v": np.zeros(()), "x": np.zeros(size)}
    variance = {"v": np.full((), scale**2), "x": np.full(size, np.exp(0.5 * scale**2))}
    if centred:
        reference = joint(v=dist.Normal(0.0, scale), x=dist.StudentT(3.0, 0.0, 1.0).expand([size]))
    else:
        model = model.reparametrize(x=NonCentred())
        mean["x_raw"], variance["x_raw"] = np.zeros(size), np.ones(size)
        reference = joint(v=dist.Normal(0.0, scale), x_raw=dist.Normal(0.0, 1.0).expand([size]))
    return KnownTarget(model, 0.0, mean, variance, draw_ancestrally(model), reference)
