r"""Points that no rule has used, in two and three dimensions: what lies between the nodes is looked for by them.

Some are spread evenly over the box, the others drawn from a law that is constant in each cell of the first look:
half of them from the density, and a quarter each from the function times it and from $p^{1/4}$, which is wider. An
integrand that is far larger at a point than at every corner of its cell hides a peak there. From such points a cloud
climbs and shrinks, from 0.1 to 1e-9 in u, and its points are kept, since they tell how wide the peak is.
"""

from typing import NamedTuple

import jax
import numpy as np

from gmdsl.compiler.integrals.frame import Region
from gmdsl.compiler.integrals.integrands import Integrands, count_same

DRAWN, EVEN = 2**20, 2**19  # points of both kinds, where they are cheap
BEYOND = 4.0  # of u about the box, which is looked at too
DEPTH = 42.0  # nats below the top, from where on nothing counts
LATTICE = np.array([0.7548776662466927, 0.5698402909980532, 0.3819660112501051])
CLIMBS = 16  # clouds
CLOUD = 128  # points of each in a round
NEAR, ROUNDS = 0.1, 28  # the first radius of a cloud, and how often it is halved
PEAKED = 3.4  # nats above the corners of a cell that are a peak
ENDED = 0.1  # nats that a peak may still rise in the second half
KNOWN = 0.05  # widths about a mode in which a peak is that mode
MISSED = 5.0  # standard errors


class Probes(NamedTuple):
    """Points u of shape (n, dim), those that were drawn first, with the integrands there.

    Attributes:
        u: all points.
        logs: the logarithms of the sizes of the integrands there, (n, count).
        signs: their signs, NaN where there is no number.
        weights: one over the number of points per volume of u, for the points that were drawn.
        peaks: where the clouds ended, (climbs, dim), and the integrand that each has climbed.
        climbed: the number of that integrand.
        hidden: of each, whether it is a peak that was not known.
        top: logarithm of the unit of values.
        same: of each integrand, `Sums.same`.
    """

    u: np.ndarray
    logs: np.ndarray
    signs: np.ndarray
    weights: np.ndarray
    peaks: np.ndarray
    climbed: np.ndarray
    hidden: np.ndarray
    top: float
    same: np.ndarray

    def values(self, index: np.ndarray) -> np.ndarray:
        """The integrands at some of the points, in units of exp(top), (number, count)."""
        signs, logs = self.signs[index], self.logs[index]
        return np.where(np.isnan(signs), 0.0, signs) * np.exp(np.minimum(logs - self.top, 700.0))

    def sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """The integrals of the sizes of all integrands by the drawn points alone, with their standard errors."""
        count, found = len(self.weights), []
        for logs in self.logs.T:
            terms = np.exp(np.minimum(logs[:count] - self.top, 700.0)) * self.weights
            found.append((terms.sum(), terms.std() * np.sqrt(count)))
        total, error = np.array(found).T
        return total, error


def probe(integrands: Integrands, region: Region) -> Probes:
    """Points of all kinds, and the integrands there."""
    rng, frame, share = np.random.default_rng(0), region.frame, _cost(integrands)
    cells = _Cells(region)
    drawn, weights = cells.draw(rng, DRAWN // share)
    along = zip(cells.low, cells.high, LATTICE, strict=False)
    count = np.arange(EVEN // share)
    even = np.stack([low + (high - low) * ((0.5 + count * step) % 1) for low, high, step in along])
    u = np.concatenate([drawn.T, even, _about_modes(rng, region).T], axis=1).T
    logs, signs = integrands.values(frame, u)
    same = count_same(logs, signs)
    starts, climbed = _choose_starts(cells, u, logs)
    (clouds, *found), peaks, heights, ended = _climb(rng, integrands, cells, starts, climbed)
    hidden = _find_hidden(
        cells, region, peaks, heights, climbed, np.maximum(logs.max(axis=0), found[0].max(axis=(0, 1)))
    )
    kept = (hidden & ended).nonzero()[0]  # of a pole they would be all that counts
    if kept.size:
        u, logs, signs = (
            np.concatenate([a.T, b[kept].reshape(-1, a.shape[1]).T], axis=1).T
            for a, b in zip((u, logs, signs), (clouds, *found), strict=True)
        )
    top = max(float(frame.top), float(logs[:, 0].max()))
    inside = np.ones(len(u), bool)
    for low, x, high in zip(frame.low, u.T, frame.high, strict=True):
        inside &= (x >= low) & (x <= high)
    weights = weights[inside[: len(weights)]]
    u, logs, signs = (np.compress(inside, array.T, axis=1).T for array in (u, logs, signs))
    return Probes(u, logs, signs, weights, peaks, climbed, hidden, top, same)


def _cost(integrands: Integrands) -> int:
    """By how much fewer points are taken: what many numbers are computed of, or many numbers, are costly."""
    numbers = sum(np.size(leaf) for leaf in jax.tree.leaves(integrands.target))
    return int(np.ceil(min(16, 0.1 * integrands.count + numbers / 64)))


def _find_hidden(
    cells: "_Cells", region: Region, peaks: np.ndarray, heights: np.ndarray, climbed: np.ndarray, tops: np.ndarray
) -> np.ndarray:
    """Which clouds have climbed a peak that counts, which no corner and no known mode shows."""
    logs = np.where(np.arange(len(tops)) == climbed[:, None], heights[:, None], -np.inf)
    rises = cells.excess(peaks, logs).max(axis=1) > PEAKED
    distance = (np.abs(peaks[:, None] - region.places) / (KNOWN * region.widths + 1e-300)).max(axis=2).min(axis=1)
    return rises & (heights > tops[climbed] - DEPTH) & ((climbed > 0) | (distance > 1.0))


class _Cells:
    """The cells between the nodes of the first look that meet the box, and the largest corner of each."""

    def __init__(self, region: Region):
        nodes, logs = region.scan
        dim = len(region.frame.low)
        first = np.maximum(np.searchsorted(nodes, region.frame.low - BEYOND, side="right") - 1, 0)
        last = np.minimum(np.searchsorted(nodes, region.frame.high + BEYOND), len(nodes) - 1)
        self.frame, self.low, self.high = region.frame, nodes[first], nodes[last]
        self.axes = [nodes[a : b + 1] for a, b in zip(first, last, strict=True)]
        corners = logs.reshape(*[len(nodes)] * dim, -1)[
            tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
        ]
        for axis in range(dim):
            size = corners.shape[axis]
            corners = np.maximum(corners.take(range(size - 1), axis), corners.take(range(1, size), axis))
        self.shape = corners.shape[:-1]
        self.heights = corners.reshape(-1, corners.shape[-1])

    def draw(self, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Points from the mixture of laws, (n, dim), and one over how many there are per volume, (n,)."""
        index = np.unravel_index(np.arange(len(self.heights)), self.shape)
        edges = np.array([np.diff(axis)[i] for axis, i in zip(self.axes, index, strict=True)])
        volume = edges.prod(axis=0)
        laws = [self.heights[:, 0], self.heights[:, 0], self.heights[:, -1], 0.25 * self.heights[:, 0]]
        share = np.mean([_normalized(law, volume) for law in laws], axis=0)
        expected = count * share
        numbers = np.floor(np.append(0.0, np.cumsum(expected)) + rng.uniform())
        cell = np.repeat(np.arange(len(share)), np.diff(numbers).astype(int))
        low = np.array([axis[i] for axis, i in zip(self.axes, index, strict=True)])
        u = (low[:, cell] + edges[:, cell] * rng.uniform(size=(len(low), len(cell)))).T
        return u, (volume / np.maximum(expected, 1e-300))[cell]

    def excess(self, u: np.ndarray, logs: np.ndarray) -> np.ndarray:
        """By how many nats integrands at points exceed the corners of their cells, (n, count)."""
        place = [np.clip(np.searchsorted(a, x) - 1, 0, len(a) - 2) for a, x in zip(self.axes, u.T, strict=True)]
        cell, found = np.ravel_multi_index(place, self.shape), np.empty(logs.T.shape)
        corners = [np.maximum(self.heights[:, number], -1e300)[cell] for number in range(self.heights.shape[1])]
        for number, heights in enumerate(logs.T):
            found[number] = heights - corners[0 if number == 0 else -1]
        return found.T


def _normalized(law: np.ndarray, volume: np.ndarray) -> np.ndarray:
    mass = np.exp(law - max(law.max(), -1e300)) * volume
    return mass / mass.sum() if mass.sum() > 0 else volume / volume.sum()


def _about_modes(rng: np.random.Generator, region: Region) -> np.ndarray:
    """Clouds about the known modes, from a third of their widths to thirty."""
    _, chosen = np.unique(np.round(region.places, 3), axis=0, return_index=True)
    places, widths = region.places[chosen[:CLIMBS]], region.widths[chosen[:CLIMBS]]
    shape = (len(places), 8 * CLOUD, places.shape[1])
    scale = np.geomspace(0.3, 30.0, shape[1])[:, None]
    u = places[:, None] + np.minimum(widths[:, None] * scale, 1.0) * rng.normal(size=shape)
    u = u.reshape(-1, shape[2])
    return u[((u > region.frame.low) & (u < region.frame.high)).all(axis=1)]


def _choose_starts(cells: _Cells, u: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points to climb from, and an integrand for each: where it rises most above corners, and the highest rises."""
    excess, tops = cells.excess(u, logs), logs.max(axis=0)
    floored = np.minimum(excess, logs - (tops - DEPTH))
    heights = np.where(excess[:, :1] > PEAKED, logs[:, :1], -np.inf)
    chosen, climbed = [], []
    for score in (floored, heights):
        most = score.max(axis=1)
        order = _largest(most, 64 * CLIMBS)
        order = order[most[order] > -np.inf]
        _, first = np.unique(np.round(u[order] / (2 * NEAR)), axis=0, return_index=True)
        order = order[np.sort(first)[:CLIMBS]]
        chosen.append(order)
        climbed.append(score[order].argmax(axis=1))
    return u[np.concatenate(chosen)], np.concatenate(climbed)


def _largest(numbers: np.ndarray, count: int) -> np.ndarray:
    """Where the largest numbers are, the largest first."""
    some = np.argpartition(-numbers, count)[:count] if count < len(numbers) else np.arange(len(numbers))
    return some[np.argsort(-numbers[some], kind="stable")]


def _climb(
    rng: np.random.Generator, integrands: Integrands, cells: _Cells, places: np.ndarray, climbed: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Clouds that follow their highest point and shrink.

    Returns:
        Their points, logarithms and signs there, each (climbs, points, ...); where they end, how high, and whether
        they rose no more in the second half.
    """
    frame, rows = cells.frame, np.arange(len(places))
    height, seen, heights = np.full(len(places), -np.inf), [], []
    for radius in NEAR * 0.5 ** np.arange(ROUNDS):
        steps = rng.normal(size=(len(places), CLOUD, places.shape[1])) * radius
        steps[:, 0] = 0.0
        cloud = np.clip(places[:, None] + steps, cells.low, cells.high)
        logs, signs = integrands.values(frame, cloud.reshape(-1, places.shape[1]))
        seen.append([array.reshape(len(places), CLOUD, -1) for array in (cloud, logs, signs)])
        mine = logs.reshape(len(places), CLOUD, -1)[rows[:, None], np.arange(CLOUD), climbed[:, None]]
        best = mine.argmax(axis=1)
        higher = mine[rows, best] >= height
        places = np.where(higher[:, None], cloud[rows, best], places)
        height = np.maximum(height, mine[rows, best])
        heights.append(height)
    joined = [np.concatenate(part, axis=1) for part in zip(*seen, strict=True)]
    return joined, places, height, height < heights[ROUNDS // 2] + ENDED
