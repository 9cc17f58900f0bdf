r"""Coordinates for integrals: $x = c + L \sinh u$, with $L L^T$ the covariance of the mass, and where they end.

Optimisation from many starts finds the modes. A look along u, out to x near 1e150, finds where the integrands end: a
tail like $|x|^{-1-a}$ falls like $e^{-a |u|}$ there. What does not fall has no integral, and is refused; what has not
ended at the last place that can be evaluated leaves out a tail of its value there over a, which is part of the error.
"""

import functools
import math
from typing import Any, NamedTuple

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
FARTHEST_START = 1e8  # its scale
BUMPS = 32  # of the look, from which the search goes on
DEPTH = 42.0  # nats below the top, from where on nothing counts
ENDED = 60.0  # nats below the top, from where on no tail is looked at
FARTHEST = 345.0  # log of the largest |x| looked at; its square is a double
CORRELATED = 0.2  # largest correlation that is left as it is
OVERFLOW = 70.0  # log of |x|, from where on a density of zero may be an overflow
SATURATED = 3.4  # the same where x is mapped to a support
MAPPED = (690.0, 33.0)  # |x| up to which exp is exact, and x up to which 1 minus the logistic function is
DEEP = 9.2  # widths of a mode down to that depth
PAD = 3.0  # of u about a mode, at most; what is wider the look sees
SCAN = {1: 2**17 + 1, 2: 257, 3: 65}  # nodes per dimension of the look for the mass
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


def find_region(integrands: Integrands, starts: np.ndarray | None = None) -> Region:
    """The coordinates in which to integrate.

    Args:
        integrands: the density and functions times it.
        starts: x of places, (n, dim), from which modes are looked for too.

    Raises:
        NoIntegralError: the density is improper, or the mean of the function does not seem to exist.
        SpecError: the density is finite nowhere.
    """
    target = integrands.target
    modes = _find_modes(target, np.zeros((0, target.dim)) if starts is None else starts)
    frame, nodes, index = _frame_of(target, modes)
    logs, valid = integrands.look(frame, nodes[index])
    bumps = _find_bumps(nodes, logs[:, 0], frame, modes)
    if bumps.size and len((more := _find_modes(target, bumps, modes)).places) > len(modes.places):
        modes = more
        frame, nodes, index = _frame_of(target, modes)
        logs, valid = integrands.look(frame, nodes[index])
    center, factor, dim = frame.center, frame.factor, target.dim
    trusted = _find_trusted(target, center + np.sinh(nodes[index]) @ factor.T)
    logs, valid = np.where(trusted, logs, -np.inf), valid & trusted
    top = max(modes.top + np.linalg.slogdet(factor)[1], logs[:, 0].max())
    tails = _measure_tails(nodes, index, logs, valid, _log_limit(target, factor), ", ".join(target.free))
    inverse = np.linalg.inv(factor)
    standard = (modes.places - center) @ inverse.T
    scales = np.array([np.sqrt(np.diag(inverse @ spread @ inverse.T)) for spread in modes.spreads])
    places, widths = np.arcsinh(standard), scales / np.cosh(np.arcsinh(standard))
    low = np.maximum(np.arcsinh(standard - DEEP * scales), places - PAD).min(axis=0)
    high = np.minimum(np.arcsinh(standard + DEEP * scales), places + PAD).max(axis=0)
    tops = np.maximum(logs.max(axis=0), np.where(np.arange(logs.shape[1]) == 0, top, -np.inf))
    held = index[((logs > tops - DEPTH) & np.isfinite(logs)).any(axis=1)]
    if held.size:
        low = np.minimum(low, nodes[np.maximum(held.min(axis=0) - 1, 0)])
        high = np.maximum(high, nodes[np.minimum(held.max(axis=0) + 1, len(nodes) - 1)])
    reach = np.full(dim, nodes[-1])
    frame = Coordinates(center, factor, np.maximum(low, -reach), np.minimum(high, reach), np.asarray(top))
    return Region(frame, places, widths, np.exp(tails - top), (nodes, logs))


def _frame_of(target: FlatTarget, modes: "_Modes") -> tuple[Coordinates, np.ndarray, np.ndarray]:
    """Coordinates about the modes, with all that can be evaluated as box; nodes of a dimension; and their indices."""
    dim = target.dim
    covariance = np.mean(modes.spreads, axis=0) + (np.cov(modes.places.T, bias=True).reshape(dim, dim))
    factor, center = _root(covariance), (modes.places.min(axis=0) + modes.places.max(axis=0)) / 2
    reach = FARTHEST - max(0.0, float(np.log(np.abs(factor).max())))
    nodes = reach * np.sinh(BEND * np.linspace(-1, 1, SCAN[dim])) / np.sinh(BEND)
    index = np.indices([len(nodes)] * dim).reshape(dim, -1).T
    return Coordinates(center, factor, np.full(dim, -reach), np.full(dim, reach), np.asarray(0.0)), nodes, index


def _find_bumps(nodes: np.ndarray, heights: np.ndarray, frame: Coordinates, modes: "_Modes") -> np.ndarray:
    """The highest nodes of the look, as x, that are higher than all nodes beside them and are no known modes."""
    dim = len(frame.low)
    heights = heights.reshape([len(nodes)] * dim)
    highest = np.isfinite(heights)
    for axis in range(dim):
        beyond = np.pad(heights, [(1, 1) if i == axis else (0, 0) for i in range(dim)], constant_values=-np.inf)
        count = len(nodes)
        highest &= (heights > beyond.take(range(count), axis)) & (heights > beyond.take(range(2, count + 2), axis))
    place = np.argwhere(highest)
    place = place[np.argsort(-heights[highest])][:BUMPS]
    x = frame.center + np.sinh(nodes[place]) @ frame.factor.T
    scale = np.sqrt(np.array([np.diag(spread) for spread in modes.spreads]))
    near = (np.abs(x[:, None] - modes.places) < 3 * scale).all(axis=2).any(axis=1)
    return x[~near & (np.abs(x) < 1e100).all(axis=1)]


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


@functools.partial(jax.jit, static_argnums=0)
def _slope(tree: Any, leaves: list[Any], x: Array) -> tuple[Array, Array]:
    target = jax.tree.unflatten(tree, leaves)
    return jax.value_and_grad(lambda x: -target.flat_log_density(x))(x)


@jax.jit
def _curvature(target: FlatTarget, x: Array) -> Array:
    return jax.hessian(lambda x: -target.flat_log_density(x))(x)


class _Modes(NamedTuple):
    """The places near the largest log-density, (n, dim), the covariance at each, and that log-density."""

    places: np.ndarray
    spreads: np.ndarray
    top: float


def _find_modes(target: FlatTarget, starts: np.ndarray, known: _Modes | None = None) -> _Modes:
    """Modes by ascents: from random starts, where none are known yet, and from given ones.

    What ends far out counts only where the log-density bends down in all directions: heavy tails have other ends.
    """
    rng, dim = np.random.default_rng(0), target.dim
    places, heights, sure = np.zeros((0, dim)), np.zeros(0), np.zeros(0, bool)
    if known is None:
        near = rng.normal(size=(STARTS // 2, dim)) * np.geomspace(0.1, 100.0, STARTS // 2)[:, None]
        far = rng.normal(size=(STARTS // 4, dim)) * np.geomspace(200.0, FARTHEST_START, STARTS // 4)[:, None]
        places, heights = _ascend(target, np.concatenate([near, -near]))
        starts, sure = np.concatenate([far, -far, starts]), np.ones(len(places), bool)
    else:
        places, heights, sure = known.places, np.full(len(known.places), known.top), np.ones(len(known.places), bool)
    more, higher = _ascend(target, starts)
    places, heights = np.concatenate([places, more]), np.concatenate([heights, higher])
    top = float(heights.max())
    if top <= -1e199:
        raise SpecError(f"quadrature: the log-density is not finite at any of {STARTS} starts. Check the model.")
    kept = heights > top - DEPTH
    curvatures = [np.asarray(_curvature(target, jnp.asarray(x))) for x in places[kept]]
    sure = np.append(sure, np.zeros(len(more), bool))[kept]
    bends = np.array([np.isfinite(c).all() and np.linalg.eigvalsh(c).min() > 0 for c in curvatures])
    sure = sure | bends if (sure | bends).any() else np.ones(len(sure), bool)
    return _Modes(places[kept][sure], np.array([_invert(c) for c, s in zip(curvatures, sure, strict=True) if s]), top)


def _ascend(target: FlatTarget, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where ascents of the log-density from starts end, and how high."""
    from scipy.optimize import minimize

    leaves, tree = jax.tree.flatten(target)  # once: it is a good part of a call

    def descent(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _slope(tree, leaves, x)
        value, slope = float(value), np.asarray(slope)
        if not math.isfinite(value):
            return 1e200, np.zeros(target.dim)
        return value, slope if np.isfinite(slope).all() else np.nan_to_num(slope)

    ends = [minimize(descent, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}) for start in starts]
    return np.array([end.x for end in ends]).reshape(-1, target.dim), -np.array([end.fun for end in ends])


def _invert(curvature: np.ndarray) -> np.ndarray:
    """The covariance of the Gaussian at a mode; of size 1 where the curvature says nothing."""
    if not np.isfinite(curvature).all():
        return np.eye(len(curvature))
    values, vectors = np.linalg.eigh(curvature)
    variances = np.where(values > 1e-4, 1.0 / np.maximum(values, 1e-4), 1.0)
    return (vectors * variances) @ vectors.T
