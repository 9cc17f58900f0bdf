r"""Coordinates for integrals: $x = c + L \sinh u$, with $L L^T$ the covariance of the mass, and where they end.

Optimisation from many starts finds the modes. A look along u, out to x near 1e150, finds where the integrands end: a
tail like $|x|^{-1-a}$ falls like $e^{-a |u|}$ there. What does not fall has no integral, and is refused; what has not
ended at the last place that can be evaluated leaves out a tail of its value there over a, which is part of the error.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.integrands import Coordinates, Integrands, NoIntegralError
from gmdsl.core.errors import SpecError
from gmdsl.spaces.elementwise import Interval
from gmdsl.spaces.space import Real

STARTS = 64  # of the search for modes
DEPTH = 42.0  # nats below the top, from where on nothing counts
ENDED = 60.0  # nats below the top, from where on no tail is looked at
FARTHEST = 345.0  # log of the largest |x| looked at; its square is a double
CORRELATED = 0.2  # largest correlation that is left as it is
OVERFLOW = 70.0  # log of |x|, from where on a density of zero may be an overflow
SATURATED = 3.4  # the same where x is mapped to a support
MAPPED = (690.0, 33.0)  # |x| up to which exp is exact, and x up to which 1 minus the logistic function is
PAD = 1.0  # of u about a mode, at most; what is wider the look sees
SCAN = {1: 4097, 2: 257, 3: 65}  # nodes per dimension of the look for the mass
BEND = 6.0  # nodes of the look are denser in the middle, by sinh of it


class Region(NamedTuple):
    """Where to integrate.

    Attributes:
        frame: the coordinates, with the box that holds the mass of all integrands, and the largest log-density.
        places: u of the modes, (modes, dim).
        widths: of the modes in u, likewise.
        tails: of each integrand, what lies beyond the last place that can be evaluated, in units of exp(frame.top).
        scan: the nodes of the look along one dimension, and the logarithms of the integrands there.
    """

    frame: Coordinates
    places: np.ndarray
    widths: np.ndarray
    tails: np.ndarray
    scan: tuple[np.ndarray, np.ndarray]


def find_region(integrands: Integrands) -> Region:
    """The coordinates in which to integrate.

    Raises:
        NoIntegralError: the density is improper, or the mean of the function does not seem to exist.
        SpecError: the density is finite nowhere.
    """
    target = integrands.target
    dim = target.dim
    modes, spreads, top = _find_modes(target)
    covariance = np.mean(spreads, axis=0) + (np.cov(modes.T, bias=True).reshape(spreads[0].shape))
    factor, center = _root(covariance), (modes.min(axis=0) + modes.max(axis=0)) / 2
    reach = FARTHEST - max(0.0, float(np.log(np.abs(factor).max())))
    nodes = reach * np.sinh(BEND * np.linspace(-1, 1, SCAN[dim])) / np.sinh(BEND)
    frame = Coordinates(center, factor, np.full(dim, -reach), np.full(dim, reach), np.asarray(0.0))
    index = np.indices([len(nodes)] * dim).reshape(dim, -1).T
    logs, valid = integrands.look(frame, nodes[index])
    trusted = _find_trusted(target, center + np.sinh(nodes[index]) @ factor.T)
    logs, valid = np.where(trusted, logs, -np.inf), valid & trusted
    top = max(top + np.linalg.slogdet(factor)[1], logs[:, 0].max())
    tails = _measure_tails(nodes, index, logs, valid, _log_limit(target, factor), ", ".join(target.free))
    inverse = np.linalg.inv(factor)
    places = np.arcsinh((modes - center) @ inverse.T)
    widths = np.array([np.sqrt(np.diag(inverse @ spread @ inverse.T)) for spread in spreads]) / np.cosh(places)
    low, high = (places - np.minimum(10 * widths, PAD)).min(axis=0), (places + np.minimum(10 * widths, PAD)).max(axis=0)
    tops = np.maximum(logs.max(axis=0), np.where(np.arange(logs.shape[1]) == 0, top, -np.inf))
    held = index[((logs > tops - DEPTH) & np.isfinite(logs)).any(axis=1)]
    if held.size:
        low = np.minimum(low, nodes[np.maximum(held.min(axis=0) - 1, 0)])
        high = np.maximum(high, nodes[np.minimum(held.max(axis=0) + 1, len(nodes) - 1)])
    frame = Coordinates(center, factor, np.maximum(low, -reach), np.minimum(high, reach), np.asarray(top))
    return Region(frame, places, widths, np.exp(tails - top), (nodes, logs))


def _root(covariance: np.ndarray) -> np.ndarray:
    """A matrix L with L L^T the covariance, or nearly: no rotation where a small correlation is all there is.

    Heavy tails of independent coordinates are ridges along the axes, which rotated coordinates do not resolve.
    """
    scale = np.sqrt(np.diag(covariance))
    if np.abs(covariance / np.outer(scale, scale) - np.eye(len(scale))).max() < CORRELATED:
        return np.diag(scale)
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(values)


def _find_trusted(target: FlatTarget, x: np.ndarray) -> np.ndarray:
    """Where maps to supports have not run into their ends, as a column; beyond, values repeat the last one."""
    trusted = np.ones(len(x), bool)
    for slot in target.slots:
        if type(slot.space) is not Real:
            mine = x[:, slot.start : slot.stop]
            most = MAPPED[1] if isinstance(slot.space, Interval) else MAPPED[0]
            trusted &= ((mine > -MAPPED[0]) & (mine < most)).all(axis=1)
    return trusted[:, None]


def _log_limit(target: FlatTarget, factor: np.ndarray) -> float:
    """The logarithm of sinh u up to which a density of zero is the end of a support, and no overflow."""
    real = all(type(target.spaces[name]) is Real for name in target.free)
    return (OVERFLOW if real else SATURATED) - float(np.log(np.abs(factor).max()))


def _measure_tails(
    nodes: np.ndarray, index: np.ndarray, logs: np.ndarray, valid: np.ndarray, limit: float, names: str
) -> np.ndarray:
    """The logarithm of what each integrand has beyond the last node that can be evaluated, all sides together."""
    half, dim = len(nodes) // 2, index.shape[1]
    away = np.abs(index - half)
    axis = away.argmax(axis=1)
    level = away.max(axis=1)
    side = 2 * axis + (index[np.arange(len(index)), axis] > half)
    shape = (2 * dim, half + 1, logs.shape[1])
    largest, seen = np.full(shape, -np.inf), np.zeros(shape, bool)
    np.maximum.at(largest, (side, level), np.where(valid, logs, -np.inf))
    np.logical_or.at(seen, (side, level), valid)
    tails = np.full(logs.shape[1], -np.inf)
    for number in range(logs.shape[1]):
        top = largest[:, :, number].max()
        for height, known in zip(largest[:, :, number], seen[:, :, number], strict=True):
            tail = _extrapolate(nodes[half:], height, known, top, limit)
            if tail > top + 5.0:
                raise _no_integral(number, names)
            tails[number] = np.logaddexp(tails[number], tail)
    return tails


def _extrapolate(r: np.ndarray, height: np.ndarray, known: np.ndarray, top: float, limit: float) -> float:
    """The logarithm of the tail along one side: the value at its end over the rate at which it falls there."""
    finite = np.flatnonzero(np.isfinite(height))
    if not finite.size or height[last := finite[-1]] < top - ENDED:
        return -np.inf
    if 0 < last < len(r) - 1 and known[last + 1] and r[last] + np.log1p(-np.exp(-2.0 * r[last])) - np.log(2.0) < limit:
        return -np.inf  # the support ends here
    before = max(0, np.searchsorted(r, 0.95 * r[last]) - 1)
    near, far = height[max(0, before - 2) : before + 1].max(), height[max(before + 1, last - 2) : last + 1].max()
    rate = (near - far) / (r[last] - r[before]) if last > before else 0.0
    return far - np.log(rate) if rate > 0 else np.inf


def _no_integral(number: int, names: str) -> NoIntegralError:
    if number == 0:
        return NoIntegralError(
            "quadrature: the density does not fall towards infinity fast enough to have an integral; it is improper"
            f" along some direction of {names}. Add a prior, or a term that grows."
        )
    return NoIntegralError(
        f"quadrature: the mean of the function does not seem to exist: far out in {names}, its size times the density"
        " does not fall fast enough to have an integral. Take a function that grows less, such as a quantile or"
        " jnp.clip of it."
    )


@jax.jit
def _slope(target: FlatTarget, x: Array) -> tuple[Array, Array]:
    return jax.value_and_grad(lambda x: -target.decode(x)[1])(x)


@jax.jit
def _curvature(target: FlatTarget, x: Array) -> Array:
    return jax.hessian(lambda x: -target.decode(x)[1])(x)


def _find_modes(target: FlatTarget) -> tuple[np.ndarray, np.ndarray, float]:
    """The places near the largest log-density, the covariance at each, and that log-density."""
    from scipy.optimize import minimize

    rng, dim = np.random.default_rng(0), target.dim
    starts = rng.normal(size=(STARTS // 2, dim)) * np.geomspace(0.1, 100.0, STARTS // 2)[:, None]
    starts = np.concatenate([starts, -starts])

    def descent(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _slope(target, jnp.asarray(x))
        finite = bool(jnp.isfinite(value))
        return (float(value), np.nan_to_num(np.asarray(slope))) if finite else (1e200, np.zeros(dim))

    ends = [minimize(descent, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}) for start in starts]
    places, heights = np.array([end.x for end in ends]), -np.array([end.fun for end in ends])
    top = float(heights.max())
    if top <= -1e199:
        raise SpecError(f"quadrature: the log-density is not finite at any of {STARTS} starts. Check the model.")
    kept = places[heights > top - DEPTH]
    return kept, np.array([_invert(np.asarray(_curvature(target, jnp.asarray(x)))) for x in kept]), top


def _invert(curvature: np.ndarray) -> np.ndarray:
    """The covariance of the Gaussian at a mode; of size 1 where the curvature says nothing."""
    if not np.isfinite(curvature).all():
        return np.eye(len(curvature))
    values, vectors = np.linalg.eigh(curvature)
    variances = np.where(values > 1e-4, 1.0 / np.maximum(values, 1e-4), 1.0)
    return (vectors * variances) @ vectors.T
