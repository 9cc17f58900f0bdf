r"""Poles of integrands in two and three dimensions: whether they have an integral near a place where they have no end.

Near a set of c dimensions fewer than the space an integrand that grows like $r^{-a}$, r the distance from it, has an
integral if and only if a < c: $1/|x|$ has none on a line of the plane, nor $1/r^2$ at a point, and $1/r$ has one there.
The exponent a is read off along lines through the highest point that clouds have found. The tail of the values of
points spread over a small ball has the shape a/c, which gives c.
"""

import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.integrals.frame import Region
from gmdsl.compiler.integrals.integrands import Integrands, NoIntegralError
from gmdsl.compiler.integrals.probes import Probes

RADII = np.array([1e-3, 1e-4, 1e-5, 1e-6])  # from the pole
DIRECTIONS = 16
STEADY = 0.05  # by which the exponent may differ from one radius to the next
LEAST = 0.05  # exponent that is looked at
BALL, POINTS, TAIL = 1e-5, 4096, 400  # radius, points, and how many of the largest tell the shape of their tail
CLOSE = 0.02  # of an exponent to the number of dimensions, from where on no number tells whether the mean exists


def check_poles(integrands: Integrands, region: Region, probes: Probes) -> None:
    """Raises NoIntegralError where an integrand has a pole that has no integral."""
    rng, dim = np.random.default_rng(1), probes.u.shape[1]
    for place, number in zip(probes.peaks, probes.climbed, strict=True):
        lines = rng.normal(size=(DIRECTIONS, 1, dim))
        lines /= np.linalg.norm(lines, axis=2, keepdims=True)
        heights = _heights(integrands, region, place + lines * RADII[:, None], number)
        with np.errstate(invalid="ignore"):  # minus infinity at both radii
            slopes = np.median(np.diff(heights, axis=1) / np.log(RADII[0] / RADII[1]), axis=0)
        exponent = float(slopes.mean())
        if not (np.isfinite(slopes).all() and exponent > LEAST and np.ptp(slopes) < STEADY * (1 + exponent)):
            continue
        ball = rng.normal(size=(POINTS, dim))
        ball *= BALL * rng.uniform(size=(POINTS, 1)) ** (1 / dim) / np.linalg.norm(ball, axis=1, keepdims=True)
        largest = np.sort(_heights(integrands, region, place + ball, number))[-TAIL - 1 :]
        shape = float(np.mean(largest[1:]) - largest[0])
        fewer = np.clip(np.round(exponent / max(shape, 1e-3)), 1, dim)
        if exponent > fewer - CLOSE:
            raise _no_integral(integrands, region, place, int(number), exponent)


def _heights(integrands: Integrands, region: Region, u: np.ndarray, number: int) -> np.ndarray:
    logs, _ = integrands.values(region.frame, u.reshape(-1, u.shape[-1]))
    return logs[:, number].reshape(u.shape[:-1])


def _no_integral(
    integrands: Integrands, region: Region, place: np.ndarray, number: int, exponent: float
) -> NoIntegralError:
    target, frame = integrands.target, region.frame
    x = np.asarray(frame.center) + np.asarray(frame.factor) @ np.sinh(place)
    values = target.free_values(jnp.asarray(x))
    where = ", ".join(f"{name} = {np.array2string(np.asarray(v), precision=4)}" for name, v in values.items())
    what = "the integral of the density" if number == 0 else "the mean of the function"
    return NoIntegralError(
        f"quadrature over {', '.join(target.free)}: {what} does not seem to exist: near {where} it grows without end,"
        f" like the distance to the power {-exponent:.2g}, too fast to have an integral. Change the variable, or take a"
        " function that is bounded, such as jnp.clip of it."
    )
