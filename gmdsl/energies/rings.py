r"""Rings in the plane: a ridge along a circle, tilted to one side, or several of them around one centre.

$$E(x) = k (|x| - R)^2 - t\, x_1, \qquad e^{-E(x)} = \sum_j w_j\, e^{-k (|x| - R_j)^2} \text{ for several}.$$

In polar coordinates, with $I_0$ and $I_1$ the modified Bessel functions that the integral over the angle gives,

$$Z = 2\pi \int_0^\infty r\, e^{-k (r - R)^2} I_0(t r)\, dr, \qquad
    E[x_1] = \frac{2\pi}{Z} \int_0^\infty r^2 e^{-k (r - R)^2} I_1(t r)\, dr.$$

A ridge is thin in a direction that turns: no one metric fits, and steps across the hole in the middle are long.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.nn import logsumexp
from jaxtyping import Array
from scipy.special import ive

from gmdsl.core.errors import SpecError
from gmdsl.energies.truths.arguments import check_number, check_table, check_weights
from gmdsl.energies.truths.known_target import KnownTarget
from gmdsl.energies.truths.lines import STEPS, draw_under_steps, integrate_line
from gmdsl.energies.truths.randomness import generator_of
from gmdsl.graph.nodes import data
from gmdsl.models.declare.energy import energy
from gmdsl.models.declare.joint import joint
from gmdsl.models.model import Model
from gmdsl.spaces.space import Real

SOFTENING = 1e-12  # under the root of |x|, so that it has a slope at the centre
FAR = 9.0  # standard deviations of the ridge beyond which nothing is left


def ring(radius: float = 2.0, sharpness: float = 4.0, tilt: float = 0.8) -> KnownTarget:
    """One ring in the plane of `x`, heavier where its first coordinate is large.

    Args:
        radius: R.
        sharpness: k, above 0; the ridge has the width 1 / sqrt(2 k).
        tilt: t; 0 for a ring that is the same all around.

    Returns:
        The target with log Z, moments and draws; the reference is a Gaussian around the centre.

    Raises:
        SpecError: a radius, or a sharpness, that is not above zero.

    >>> import gmdsl as gm
    >>> target = gm.energies.ring()
    >>> round(target.log_z, 9), target.mean["x"].round(6).tolist()
    (3.025156497, [1.369823, 0.0])
    """
    radius = check_number("ring", "radius", radius, above=0.0)
    sharpness = check_number("ring", "sharpness", sharpness, above=0.0)
    tilt = check_number("ring", "tilt", tilt)

    def tilted_ring(x: Array) -> Array:
        return sharpness * (_length(x) - radius) ** 2 - tilt * x[0]

    truth = _Radial(np.array([radius]), np.array([1.0]), sharpness, tilt)
    return truth.target(energy(tilted_ring, x=Real(2)))


def rings(radii: Any = (1.0, 3.0, 5.0), sharpness: float = 20.0, weights: Any = None) -> KnownTarget:
    """Rings around one centre in the plane of `x`, with a barrier between each and the next.

    Args:
        radii: R_j, (n,).
        sharpness: k, above 0; the ridges have the width 1 / sqrt(2 k).
        weights: w_j, heights of the ridges, which add to 1; equal when None, so that longer rings hold more mass.

    Returns:
        The target with log Z, moments and draws; the reference is a Gaussian around the centre.

    Raises:
        SpecError: a radius, or a sharpness, that is not above zero; weights that are no probabilities.

    >>> import gmdsl as gm
    >>> round(float(gm.energies.rings([1.0, 3.0]).variance["x"][0]), 6)  # half of E r^2
    3.5375
    """
    radii = check_table("rings", "radii", radii, 1)
    if (radii <= 0).any():
        raise SpecError(f"rings(radii={radii.tolist()}): every radius is above 0. Leave the others out.")
    sharpness = check_number("rings", "sharpness", sharpness, above=0.0)
    weights = check_weights("rings", weights, len(radii))

    def nested_rings(x: Array, radii: Array, weights: Array) -> Array:
        return -logsumexp(-sharpness * (_length(x) - radii) ** 2, b=weights)

    truth = _Radial(radii, weights, sharpness, 0.0)
    return truth.target(energy(nested_rings, x=Real(2), radii=data(radii), weights=data(weights)))


def _length(x: Array) -> Array:
    return jnp.sqrt(jnp.sum(x**2) + SOFTENING)


class _Radial:
    """The law of the radius, once the angle is integrated out."""

    def __init__(self, radii: np.ndarray, weights: np.ndarray, sharpness: float, tilt: float):
        self.radii, self.log_weights, self.sharpness, self.tilt = radii, np.log(weights), sharpness, tilt
        width = 1.0 / np.sqrt(2.0 * sharpness)
        far = abs(tilt) / (2.0 * sharpness) + FAR * width  # the tilt moves the ridge outwards
        self.low = max(0.0, float(radii.min()) - FAR * width)
        self.high = float(radii.max()) + far

    def log_ridge(self, r: np.ndarray) -> np.ndarray:
        terms = self.log_weights - self.sharpness * (r[..., None] - self.radii) ** 2
        return np.logaddexp.reduce(terms, axis=-1)

    def log_rest(self, r: np.ndarray) -> np.ndarray:
        """What the ridge is multiplied by; it grows with r."""
        slope = abs(self.tilt) * r
        with np.errstate(divide="ignore"):
            return np.log(2 * np.pi * r) + np.log(ive(0, slope)) + slope

    def target(self, model: Model) -> KnownTarget:
        log_z, r, probabilities = self._integrate()
        slope = abs(self.tilt) * r
        along = np.sign(self.tilt) * ive(1, slope) / ive(0, slope)  # E cos(angle) given r
        mean = float(probabilities @ (r * along))
        squared = float(probabilities @ r**2)
        with np.errstate(invalid="ignore", divide="ignore"):
            across = np.where(slope > 0, np.abs(along) / slope, 0.5)  # E sin^2(angle) = I_1(a) / (a I_0(a))
        second = float(probabilities @ (r**2 * across))
        wide = 1.25 * float(np.sqrt(squared))
        return KnownTarget(
            model=model,
            log_z=log_z,
            mean={"x": np.array([mean, 0.0])},
            variance={"x": np.array([squared - second - mean**2, second])},
            draw=self.draw,
            reference=joint(x=dist.Normal(0.0, wide).expand([2]).to_event(1)),
        )

    def draw(self, key: Array, count: int) -> dict[str, Any]:
        """The radius under a staircase, then the angle, which is von Mises given the radius."""
        random = generator_of(key)
        edges = np.linspace(self.low, self.high, STEPS + 1)
        bounds = _highest(self.log_weights, self.radii, self.sharpness, edges) + self.log_rest(edges[1:])
        r = draw_under_steps(random, lambda r: self.log_ridge(r) + self.log_rest(r), bounds, edges, count)
        angle = random.vonmises(0.0 if self.tilt >= 0 else np.pi, abs(self.tilt) * r)
        return {"x": r[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)}

    def _integrate(self) -> tuple[float, np.ndarray, np.ndarray]:
        return integrate_line("ring(...)", lambda r: self.log_ridge(r) + self.log_rest(r), self.low, self.high)


def _highest(log_weights: np.ndarray, radii: np.ndarray, sharpness: float, edges: np.ndarray) -> np.ndarray:
    """The ridges at the place in each cell that is nearest to each of them."""
    places = np.clip(radii, edges[:-1, None], edges[1:, None])
    return np.logaddexp.reduce(log_weights - sharpness * (places - radii) ** 2, axis=-1)
