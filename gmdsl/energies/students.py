r"""Mixtures of Student laws: modes with tails that no Gaussian covers.

$$p(x) = \sum_k w_k \prod_j t_\nu\!\left( \frac{x_j - \mu_{kj}}{s_k} \right) \frac{1}{s_k}$$

The mean exists for $\nu > 1$, the variance for $\nu > 2$; it is $s^2 \nu / (\nu - 2)$ within a component.

Reference:
    Blessing et al., *Beyond ELBOs: a large-scale evaluation of variational methods for sampling*, 2024,
    arXiv:2406.07423.
"""

from typing import Any

import numpy as np
import numpyro.distributions as dist

from gmdsl.energies.truths.arguments import check_number, check_scales, check_table, check_weights
from gmdsl.energies.truths.known_target import KnownTarget, draw_ancestrally
from gmdsl.energies.truths.mixtures import moments_of_mixture
from gmdsl.models.declare.joint import joint


def students(centres: Any, scale: Any = 1.0, weights: Any = None, *, df: float = 3.0) -> KnownTarget:
    """A mixture of products of Student laws of the vector `x`.

    Args:
        centres: the places of the components, (k, dim).
        scale: their scale: one number, or one for each.
        weights: their probabilities, (k,); equal when None.
        df: degrees of freedom, above 0.

    Returns:
        The normalised target with draws; the mean with more than 1 degree of freedom, the variance with more than 2.
        The reference is a product of wider Student laws with the same tails.

    Raises:
        SpecError: tables that do not fit, a scale or `df` not above zero, weights that are no probabilities.

    >>> import gmdsl as gm
    >>> target = gm.energies.students([[-2.0], [2.0]], df=4.0)
    >>> target.variance["x"].tolist(), gm.energies.students([[-2.0], [2.0]], df=2.0).variance
    ([6.0], None)
    """
    centres = check_table("students", "centres", centres, 2)
    weights = check_weights("students", weights, len(centres))
    scales = check_scales("students", scale, len(centres))
    df = check_number("students", "df", df, above=0.0)
    parts = dist.StudentT(df, centres, scales[:, None]).to_event(1)
    model = joint(x=dist.MixtureSameFamily(dist.Categorical(probs=weights), parts))
    within = scales[:, None] ** 2 * df / (df - 2.0) if df > 2.0 else np.zeros((len(scales), 1))
    mean, variance = moments_of_mixture(weights, centres, within)
    spread = centres.std(axis=0).max() + scales.max()
    return KnownTarget(
        model=model,
        log_z=0.0,
        mean={"x": mean} if df > 1.0 else None,
        variance={"x": variance} if df > 2.0 else None,
        draw=draw_ancestrally(model),
        reference=joint(x=dist.StudentT(df, centres.mean(axis=0), 1.5 * spread).to_event(1)),
    )
