r"""The Müller-Brown surface: three valleys in the plane and the bent way between them, a model of a chemical reaction.

$$V(x) = \sum_{k=1}^{4} A_k \exp\!\left( a_k (x_1 - p_k)^2 + b_k (x_1 - p_k)(x_2 - q_k) + c_k (x_2 - q_k)^2 \right),
    \qquad E(x) = V(x) / T.$$

The valleys lie near (-0.56, 1.44) with V = -146.7, (0.62, 0.03) with -108.2 and (-0.05, 0.47) with -80.8; the saddle
between the first and the last near (-0.82, 0.62) has -40.7. At T = 15 the first holds most of the mass.

Reference:
    Müller and Brown, *Location of saddle points and minimum energy paths by a constrained simplex optimization
    procedure*, Theoretica Chimica Acta 53, 1979.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.energies.truths.arguments import check_number
from gmdsl.energies.truths.known_target import KnownTarget
from gmdsl.models.declare.energy import energy
from gmdsl.models.declare.joint import joint
from gmdsl.spaces.space import Real

HEIGHTS = (-200.0, -100.0, -170.0, 15.0)
ALONG = (-1.0, -1.0, -6.5, 0.7)  # a
MIXED = (0.0, 0.0, 11.0, 0.6)  # b
ACROSS = (-10.0, -10.0, -6.5, 0.7)  # c
CENTRES = ((1.0, 0.0), (0.0, 0.5), (-0.5, 1.5), (-1.0, 1.0))
LOWEST = -470.0  # the sum of the negative heights: no value is below it
DEEP = 60.0  # energies above the lowest at which nothing is left
POINTS = 1601  # of the grid, in each direction
AGREEMENT = 1e-10  # of log Z on this grid with that on every other point of it


def mueller_brown(temperature: float = 15.0) -> KnownTarget:
    """The Müller-Brown surface of the vector `x` of 2 elements, at a temperature.

    Args:
        temperature: T, in the units of V.

    Returns:
        The target with log Z and moments, by quadrature; the reference is a unit Gaussian over the valleys.

    Raises:
        SpecError: a temperature not above zero, or one so low that the grid does not see the valley.

    >>> import gmdsl as gm
    >>> target = gm.energies.mueller_brown()
    >>> round(float(gm.compile(target.model).log_density({"x": [-0.558, 1.442]})), 3)  # in the deepest valley
    9.78
    """
    temperature = check_number("mueller_brown", "temperature", temperature, above=0.0)

    def surface(x: Array) -> Array:
        return _height(jnp.exp, x[0], x[1]) / temperature

    log_z, mean, variance = _integrate(temperature)
    return KnownTarget(
        model=energy(surface, name="mueller_brown", x=Real(2)),
        log_z=log_z,
        mean={"x": mean},
        variance={"x": variance},
        reference=joint(x=dist.Normal(np.array([-0.25, 0.75]), 1.0).to_event(1)),
    )


def _height(exp: Callable[[Any], Any], first: Any, second: Any) -> Any:
    """V, with the exponential of NumPy or of JAX."""
    total = 0.0
    for height, a, b, c, (p, q) in zip(HEIGHTS, ALONG, MIXED, ACROSS, CENTRES, strict=True):
        u, w = first - p, second - q
        total = total + height * exp(a * u**2 + b * u * w + c * w**2)
    return total


def _integrate(temperature: float) -> tuple[float, np.ndarray, np.ndarray]:
    r"""Log Z, mean and variance on a grid.

    The last term is at least $15\, e^{0.4 d^2}$ at a distance d from its centre: beyond the box of half-width d
    below, V is more than `DEEP` temperatures above its lowest value. On a smooth function that vanishes at the edges
    the trapezoidal rule converges
    exponentially: for a valley of width s and a step h, the error is about $e^{-2 \pi^2 s^2 / h^2}$.
    """
    width = float(np.sqrt(np.log((DEEP * temperature - LOWEST) / HEIGHTS[3]) / 0.4))
    (p, q), offsets = CENTRES[3], np.linspace(-width, width, POINTS)
    first, second = np.meshgrid(p + offsets, q + offsets, indexing="ij")
    log_density = -_height(np.exp, first, second) / temperature
    step = offsets[1] - offsets[0]
    log_z = float(np.logaddexp.reduce(log_density, axis=None) + 2 * np.log(step))
    half = float(np.logaddexp.reduce(log_density[::2, ::2], axis=None) + 2 * np.log(2 * step))
    if not abs(log_z - half) < AGREEMENT:
        raise SpecError(
            f"mueller_brown(temperature={temperature:g}): the valleys are too narrow for a grid of {POINTS} by {POINTS}"
            " points. Take a higher temperature."
        )
    probabilities = np.exp(log_density - log_z) * step**2
    mean = np.array([np.sum(probabilities * first), np.sum(probabilities * second)])
    variance = np.array(
        [np.sum(probabilities * (value - m) ** 2) for value, m in zip((first, second), mean, strict=True)]
    )
    return log_z, mean, variance
