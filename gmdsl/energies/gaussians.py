r"""Mixtures of isotropic Gaussians, $p(x) = \sum_k w_k\, N(x; \mu_k, s_k^2 I)$, and the one with 40 in the plane.

It is one factor with a NumPyro mixture, which compiles in seconds however many components there are; with it come
draws, and exact scores under noise.

Reference:
    Midgley et al., *Flow annealed importance sampling bootstrap*, 2023, arXiv:2208.01893 (`gmm40`).
"""

from typing import Any

import numpy as np
import numpyro.distributions as dist

from gmdsl.energies.truths.arguments import check_scales, check_table, check_weights
from gmdsl.energies.truths.known_target import KnownTarget, draw_ancestrally
from gmdsl.energies.truths.mixtures import moments_of_mixture
from gmdsl.models.declare.joint import joint


def gaussians(centres: Any, scale: Any = 1.0, weights: Any = None) -> KnownTarget:
    """A mixture of isotropic Gaussians of the vector `x`.

    Args:
        centres: their means, (k, dim).
        scale: their standard deviation: one number, or one for each.
        weights: their probabilities, (k,); equal when None.

    Returns:
        The normalised target with moments and draws; the reference is one Gaussian, centred at the mean, as wide as
        the widest coordinate and a half more.

    Raises:
        SpecError: tables that do not fit, a scale that is not above zero, weights that are no probabilities.

    >>> import gmdsl as gm
    >>> target = gm.energies.gaussians([[-2.0, 0.0], [2.0, 1.0]], weights=[0.25, 0.75])
    >>> target.mean["x"].tolist(), target.variance["x"].tolist()
    ([1.0, 0.75], [4.0, 1.1875])
    """
    centres = check_table("gaussians", "centres", centres, 2)
    weights = check_weights("gaussians", weights, len(centres))
    scales = check_scales("gaussians", scale, len(centres))
    parts = dist.Normal(centres, scales[:, None]).to_event(1)
    model = joint(x=dist.MixtureSameFamily(dist.Categorical(probs=weights), parts))
    mean, variance = moments_of_mixture(weights, centres, scales[:, None] ** 2)
    wide = 1.5 * float(np.sqrt(max(variance.max(), scales.max() ** 2)))
    return KnownTarget(
        model=model,
        log_z=0.0,
        mean={"x": mean},
        variance={"x": variance},
        draw=draw_ancestrally(model),
        reference=joint(x=dist.Normal(mean, wide).to_event(1)),
    )


def gmm40() -> KnownTarget:
    """Forty Gaussians of equal weight in a square of side 80: modes far apart, some of them touching.

    Returns:
        The target of `gaussians(GMM40_CENTRES, 1.3133)`, with log Z = 0.

    >>> import gmdsl as gm
    >>> gm.energies.gmm40().mean["x"].round(6).tolist()
    [-2.140513, 1.240038]
    """
    return gaussians(GMM40_CENTRES, GMM40_SCALE)


GMM40_SCALE = float(np.log1p(np.e))  # softplus(1)
# Uniform in a square of side 80, by the first 80 numbers of PyTorch's generator after seed 0, in single precision.
GMM40_CENTRES = np.array((
    (-0.2994728, 21.457745), (-32.921806, -29.437561), (-15.406175, 10.7262945), (-0.7925272, 31.71558),
    (-3.5497618, 10.584502), (-12.088523, -7.8626156), (-38.21394, -26.491283), (-16.488924, 1.4817429),
    (15.813408, 24.000912), (-27.117643, -17.418514), (14.528685, 33.21552), (-8.232007, 29.93247),
    (-6.4473343, 4.232564), (36.219048, -37.106815), (-25.181519, -10.12661), (-15.591998, 34.56003),
    (-25.927185, -18.413315), (-27.945618, -37.46244), (-23.349619, 34.383923), (17.848736, 19.386902),
    (2.1036625, -20.50734), (6.7673874, -37.34779), (-28.902649, -20.6212), (25.237518, 23.45285),
    (-17.739801, -1.4432955), (25.582428, 39.765324), (15.875287, 5.403714), (26.819454, -23.552094),
    (7.453761, -31.01222), (-27.723446, -20.663342), (18.098923, 16.086416), (-23.6941, 12.084284),
    (21.958881, -5.0486946), (1.5272617, 9.268188), (24.815063, 38.407764), (-30.824944, -14.65879),
    (15.720396, 33.141975), (34.808292, 35.29427), (7.960582, -34.783306), (3.6797, -25.024214),
), np.float32)  # fmt: skip
