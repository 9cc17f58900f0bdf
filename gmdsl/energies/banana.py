r"""Haario's banana: a Gaussian bent along a parabola, normalised because the bend has unit Jacobian.

$$x \sim N(0, s^2), \qquad y \mid x \sim N\!\left( b (x^2 - s^2),\, 1 \right), \qquad z_i \sim N(0, 1).$$

$E y = 0$ and $\operatorname{Var} y = 1 + 2 b^2 s^4$.

Reference:
    Haario, Saksman and Tamminen, *Adaptive proposal distribution for random walk Metropolis algorithm*, Computational
    Statistics 14, 1999.
"""

import numpy as np
import numpyro.distributions as dist

from gmdsl.energies.truths.arguments import check_number, check_whole
from gmdsl.energies.truths.known_target import KnownTarget, draw_ancestrally
from gmdsl.models.declare.joint import joint


def banana(dim: int = 2, bend: float = 0.03, scale: float = 10.0) -> KnownTarget:
    """The banana of `x` and `y`, and a vector `z` of dim - 2 unit Gaussians where there are more dimensions.

    Args:
        dim: how many coordinates there are, at least 2.
        bend: b; 0.03 is moderately, 0.1 strongly bent.
        scale: s, the standard deviation of `x`.

    Returns:
        The normalised target with moments and draws; the reference is the Gaussian of those moments, a half wider.

    Raises:
        SpecError: fewer than 2 dimensions, a bend that is no number, a scale not above zero.

    >>> import gmdsl as gm
    >>> {name: round(float(value), 6) for name, value in gm.energies.banana().variance.items()}
    {'x': 100.0, 'y': 19.0}
    """
    rest = check_whole("banana", "dim", dim, 2) - 2
    bend = check_number("banana", "bend", bend)
    scale = check_number("banana", "scale", scale, above=0.0)
    level = scale**2
    wide = {"x": scale, "y": float(np.sqrt(1.0 + 2.0 * bend**2 * scale**4))}
    others = {"z": dist.Normal(0.0, 1.0).expand([rest])} if rest else {}
    model = joint(x=dist.Normal(0.0, scale), y=lambda x: dist.Normal(bend * (x**2 - level), 1.0), **others)
    shapes = {"x": (), "y": (), **({"z": (rest,)} if rest else {})}
    return KnownTarget(
        model=model,
        log_z=0.0,
        mean={name: np.zeros(shape) for name, shape in shapes.items()},
        variance={name: np.full(shape, wide.get(name, 1.0) ** 2) for name, shape in shapes.items()},
        draw=draw_ancestrally(model),
        reference=joint(**{name: dist.Normal(0.0, 1.5 * sd) for name, sd in wide.items()}, **others),
    )
