r"""Many wells: double wells side by side, as many modes as there are combinations of them.

$$E(x) = \sum_{i=1}^{n} \left( a\, d_i + b\, d_i^2 + c\, d_i^4 + \tfrac12 v_i^2 \right), \qquad
    x = (d_1, v_1, d_2, v_2, \ldots, d_n, v_n).$$

With a = -0.5, b = -6, c = 1 each well holds 84 % and 16 % of the mass, and 32 dimensions have 65,536 modes. The
coordinates are independent, so everything follows from one integral on a line.

Reference:
    Noé et al., *Boltzmann generators*, Science 365, 2019 (the double well); Midgley et al., *Flow annealed importance
    sampling bootstrap*, 2023, arXiv:2208.01893 (many of them).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.energies.truths.arguments import check_number, check_whole
from gmdsl.energies.truths.known_target import KnownTarget
from gmdsl.energies.truths.lines import STEPS, draw_under_steps, integrate_line
from gmdsl.energies.truths.randomness import generator_of
from gmdsl.models.declare.energy import energy
from gmdsl.models.declare.joint import joint
from gmdsl.spaces.space import Real

DEEP = 60.0  # above the lowest energy nothing is left: e^-60 of the highest density


def many_well(dim: int = 32, *, tilt: float = -0.5, square: float = -6.0, quartic: float = 1.0) -> KnownTarget:
    """Double wells in every other coordinate of `x`, unit Gaussians in between.

    Args:
        dim: length of `x`, even.
        tilt: a, what makes one well deeper than the other.
        square: b; below zero there are two wells.
        quartic: c, above zero.

    Returns:
        The target with log Z, moments, draws, and the reference N(0, 3^2) in every coordinate.

    Raises:
        SpecError: an odd dimension, or a quartic term that is not above zero.

    >>> import gmdsl as gm
    >>> round(gm.energies.many_well(32).log_z, 6)
    164.695675
    """
    if check_whole("many_well", "dim", dim, 2) % 2:
        raise SpecError(f"many_well(dim={dim}): every well has two coordinates. Pass an even number.")
    a, b = check_number("many_well", "tilt", tilt), check_number("many_well", "square", square)
    c = check_number("many_well", "quartic", quartic, above=0.0)
    pairs = dim // 2
    well = np.polynomial.Polynomial([0.0, a, b, 0.0, c])
    low, high = _ends(well)
    log_z, nodes, probabilities = integrate_line("many_well(...)", lambda d: -well(d), low, high)
    mean = float(probabilities @ nodes)
    variance = float(probabilities @ (nodes - mean) ** 2)

    def many_wells(x: Array) -> Array:
        d, v = x[0::2], x[1::2]
        return jnp.sum(a * d + b * d**2 + c * d**4 + 0.5 * v**2)

    def draw(key: Array, count: int) -> dict[str, Any]:
        random = generator_of(key)
        d = _draw_wells(random, well, low, high, count * pairs).reshape(count, pairs)
        return {"x": np.stack([d, random.standard_normal((count, pairs))], -1).reshape(count, dim)}

    return KnownTarget(
        model=energy(many_wells, x=Real(dim)),
        log_z=float(pairs * (log_z + 0.5 * np.log(2 * np.pi))),
        mean={"x": np.tile([mean, 0.0], pairs)},
        variance={"x": np.tile([variance, 1.0], pairs)},
        draw=draw,
        reference=joint(x=dist.Normal(0.0, 3.0).expand([dim]).to_event(1)),
    )


def _ends(well: Any) -> tuple[float, float]:
    """The outermost places where the energy of a well is so high that nothing is left."""
    roots = (well - (_lowest(well) + DEEP)).roots()
    real = roots[np.abs(roots.imag) < 1e-6 * (1 + np.abs(roots))].real
    return float(real.min()), float(real.max())


def _lowest(well: Any) -> float:
    return float(well(_flat_places(well)).min())


def _flat_places(well: Any) -> np.ndarray:
    """Where the slope is zero; with rounding, complex roots that nearly are real count too, which does no harm."""
    return well.deriv().roots().real


def _draw_wells(random: np.random.Generator, well: Any, low: float, high: float, count: int) -> np.ndarray:
    """Exact draws of d; energies of a cell are lowest at its ends or where the slope is zero."""
    edges = np.linspace(low, high, STEPS + 1)
    lowest = np.minimum(well(edges[:-1]), well(edges[1:]))
    flat = _flat_places(well)
    cells = np.clip(np.searchsorted(edges, flat) - 1, 0, STEPS - 1)
    np.minimum.at(lowest, cells, well(flat))
    return draw_under_steps(random, lambda d: -well(d), -lowest, edges, count)
