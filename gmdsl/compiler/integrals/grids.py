r"""Integrals over two or three dimensions: two trapezoidal grids, one shifted against the other, and random points.

For smooth integrands the trapezoidal rule converges geometrically, and two grids that share no node err
independently: their gap is the error. Nodes are doubled until it is small. A feature that lies between the nodes of
both is seen by a randomly shifted lattice, whose points have as many different coordinates as there are points: where
it contradicts the grids, or is better than they are, it gives the integral, with the spread of its shifts as error.

Reference:
    Trefethen and Weideman, *The exponentially convergent trapezoidal rule*, SIAM Review 2014; L'Ecuyer and Lemieux,
    *Recent advances in randomized quasi-Monte Carlo methods*, 2002.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.boxes import integrate_adaptively
from gmdsl.compiler.integrals.frame import Region, find_region
from gmdsl.compiler.integrals.integrands import Coordinates, Integrands, Sums, point
from gmdsl.compiler.integrals.poles import check_poles
from gmdsl.compiler.integrals.probes import Probes, probe
from gmdsl.core.pytrees.function import Function

MOST = {2: 2**11, 3: 2**8}  # nodes per dimension
FIRST = 16  # nodes per dimension, at least
CHUNK = 2**14  # points evaluated side by side
SHIFT = np.array([0.38196601, 0.7548776662, 0.5436890127])  # of the second grid, in steps
LATTICE = np.array([[0.7548776662466927, 0.5698402909980532, 0.0], [0.8191725133961645, 0.6710436067037893,
                    0.5497004779019703]])  # fmt: skip
SHIFTS = 16  # of the lattice
POINTS = (2**13, 2**16)  # per shift: to compare, and where grids fail
ERRORS = 3.5  # standard errors beyond which lattice and grids contradict each other
MISSED = 5.0  # standard errors of the size of an integral by drawn points, likewise
FINE = 1e-6  # relative error of an integral over boxes that needs no second opinion
QUANTILE = 1.5  # half the Student-t quantile of 99.5 % at 15 degrees of freedom


def integrate_box(integrands: Integrands, region: Region, rtol: float) -> Sums:
    """The integral of each integrand over the box of a region of two or three dimensions, with its error.

    Raises:
        NoIntegralError: an integrand grows without end near a place.
    """
    probes = probe(integrands, region)
    if (new := probes.hidden & (probes.climbed == 0)).any():
        frame = region.frame
        region = find_region(integrands, frame.center + np.sinh(probes.peaks[new]) @ frame.factor.T)
        probes = probe(integrands, region)
    check_poles(integrands, region, probes)
    region = region._replace(frame=region.frame._replace(top=np.asarray(probes.top)))
    return _best(integrands, region, probes, rtol)._replace(same=probes.same)


def _best(integrands: Integrands, region: Region, probes: Probes, rtol: float) -> Sums:
    """By grids where nothing contradicts them, else by boxes, else by the lattice."""
    grid = _refine(integrands, region, rtol)
    lattice = _average_lattice(integrands, region.frame, POINTS[0])
    smooth = bool((grid.error <= 1e3 * rtol * grid.size).all())
    if smooth and not probes.hidden.any() and not _contradict(grid, lattice).any() and not _missed(grid, probes).any():
        return grid
    boxes = integrate_adaptively(integrands, region, probes, max(rtol, 0.1 * FINE))
    known = (boxes.error <= 1e2 * FINE * boxes.size).all()
    if smooth and known and (np.abs(grid.value - boxes.value) <= grid.error + boxes.error).all():
        return grid
    if (boxes.error <= FINE * boxes.size).all():
        return boxes
    lattice = _average_lattice(integrands, region.frame, POINTS[1])
    return _choose(boxes, lattice)


def _missed(grid: Sums, probes: Probes) -> np.ndarray:
    """Where points drawn from the density tell that the grids miss something."""
    size, error = probes.sizes()
    return size > grid.size + grid.error + MISSED * error + FINE * grid.size


def _choose(boxes: Sums, lattice: Sums) -> Sums:
    """The better of two for each integrand; where they contradict each other, their gap is the error."""
    gap = np.abs(boxes.value - lattice.value)
    apart = np.where(gap > ERRORS * lattice.error + boxes.error, gap, 0.0)
    boxes = boxes._replace(error=np.maximum(boxes.error, apart))
    better = (lattice.error < boxes.error) & (lattice.error > 0)  # of 0, it has seen nothing
    value, size, error = (np.where(better, lattice[i], boxes[i]) for i in range(3))
    return Sums(value, size, error, boxes.top)


def _contradict(grid: Sums, lattice: Sums) -> np.ndarray:
    """Where the lattice tells that the grids miss something."""
    far = np.abs(grid.value - lattice.value) > ERRORS * lattice.error + grid.error
    return far | (grid.size < 0.5 * lattice.size) & (lattice.error < lattice.size)


def _refine(integrands: Integrands, region: Region, rtol: float) -> Sums:
    """Integrals, those of sizes, and errors, on the finest pair of grids that was needed.

    Where nodes run out before two grids agree, the integrand is rough, and the gaps between grids are random: the
    largest of the last three is the error.
    """
    frame, most = region.frame, MOST[integrands.target.dim]
    wanted = int(np.ceil(((frame.high - frame.low) / region.widths.min(axis=0)).max())) + 1
    nodes, gaps = min(max(FIRST, wanted), most // 2), []
    while True:
        first, second = (_sum_grid(integrands, frame, nodes, shift) for shift in (0.0, SHIFT))
        gaps.append(np.abs(first[0] - second[0]))
        mean, size = (first[0] + second[0]) / 2, (first[1] + second[1]) / 2
        if (gaps[-1] <= rtol * size.max()).all() and len(gaps) > 1:
            return Sums(mean, size, gaps[-1], float(frame.top))
        if nodes >= most:
            return Sums(mean, size, np.max(gaps[-3:], axis=0), float(frame.top))
        nodes = min(2 * nodes, most)


def _sum_grid(integrands: Integrands, frame: Coordinates, nodes: int, shift: Any) -> tuple[np.ndarray, np.ndarray]:
    dim = integrands.target.dim
    shift = np.broadcast_to(shift, (max(dim, 3),))[:dim]
    step = (frame.high - frame.low) / (nodes - 1)
    sums = _sum(integrands.function, integrands.target, frame, jnp.asarray(nodes), jnp.asarray(shift), None)
    return np.asarray(sums[0]) * np.prod(step), np.asarray(sums[1]) * np.prod(step)


def _average_lattice(integrands: Integrands, frame: Coordinates, points: int) -> Sums:
    """Means over random shifts, those of sizes, and errors, two of which cover in 99 %."""
    dim, rng = integrands.target.dim, np.random.default_rng(0)
    volume, rows = np.prod(frame.high - frame.low), []
    for _ in range(SHIFTS):
        shift = jnp.asarray(rng.uniform(size=dim))
        step = jnp.asarray(LATTICE[dim - 2, :dim])
        rows.append(_sum(integrands.function, integrands.target, frame, jnp.asarray(points), shift, step))
    means = np.array([row[0] for row in rows]) * volume / points
    sizes = np.array([row[1] for row in rows]) * volume / points
    error = QUANTILE * means.std(axis=0, ddof=1) / np.sqrt(SHIFTS)
    return Sums(means.mean(axis=0), sizes.mean(axis=0), error, float(frame.top))


@functools.partial(jax.jit, static_argnums=0)
def _sum(
    function: Function | None, target: FlatTarget, frame: Coordinates, nodes: Array, shift: Array, lattice: Array | None
) -> tuple[Array, Array]:
    """The sums of all integrands and of their sizes, over a shifted grid, or a shifted lattice of so many points."""
    dim = frame.low.shape[0]
    powers = nodes ** jnp.arange(dim)
    total = nodes**dim if lattice is None else nodes

    def one(index: Array) -> tuple[Array, Array]:
        share = ((index // powers) % nodes + shift) / (nodes - 1) if lattice is None else (shift + index * lattice) % 1
        height, x = point(target, frame, frame.low + (frame.high - frame.low) * share)
        good = jnp.isfinite(height) & (index < total)
        weight = jnp.where(good, jnp.exp(height - frame.top), 0.0)
        sizes = jnp.ones(1)
        if function is not None:
            sizes = jnp.append(sizes, jnp.ravel(jnp.asarray(function(target.named(x)), float)))
        logs = jnp.where(good & jnp.isfinite(sizes), height - frame.top + jnp.log(jnp.abs(sizes)), -jnp.inf)
        values = jnp.where(logs > -jnp.inf, jnp.sign(sizes) * jnp.exp(logs), 0.0).at[0].set(weight)
        return values, jnp.abs(values)

    def more(number: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        new = jax.vmap(one)(number * CHUNK + jnp.arange(CHUNK))
        return jax.tree.map(lambda old, added: old + jnp.sum(added, axis=0), sums, new)

    start = jax.tree.map(lambda s: jnp.zeros(s.shape), jax.eval_shape(one, jnp.zeros((), int)))
    return jax.lax.fori_loop(0, -(-total // CHUNK), more, start)
