r"""Integrals over two or three dimensions that are rough or narrow: rules on boxes, which are halved where they err.

Each box has a product of Gauss-Kronrod rules, and the analogue of what a panel of one dimension has (`panels.py`): its
error is the larger of the gap between the rules, and the mean distance, at the probes in it, of the integrand from the
polynomial through its nodes, times its volume. A box is halved across the axis along which the rules differ most.

Reference:
    Berntsen, Espelid and Genz, *An adaptive algorithm for the approximate calculation of multiple integrals*, 1991.
"""

from typing import NamedTuple

import numpy as np

from gmdsl.compiler.integrals.frame import Region
from gmdsl.compiler.integrals.integrands import Coordinates, Integrands, Sums
from gmdsl.compiler.integrals.probes import Probes

FIRST = {2: 8, 3: 4}  # boxes per dimension to begin with
MOST = {2: 4000, 3: 2500}
AT_ONCE = 256  # boxes halved in one round, of up to 8 integrands
DOUBT = 0.02  # share of a box's error that each of its halves keeps: a jump may hide between a face and a node
UNEVEN = 0.2  # of where a box is cut, in sides
COVER = 3.0  # times the errors of all boxes are stated, since jumps may hide in boxes that show none
OFFSET = 0.137  # of the first edges, in boxes
WORST = 0.05  # of the largest error, from where on a box is halved in the same round
ROUNDS = 2000
NARROWEST = 1e-13  # side of a box, in units of the whole
INTERPOLATED = 2048  # probes side by side

# abscissae of Kronrod rules: of 15 nodes (Gauss at every second of them from the second on), and of 7
_X = {2: [0.991455371120812639206854697526329, 0.949107912342758524526189684047851, 0.864864423359769072789712788640926,
          0.741531185599394439863864773280788, 0.586087235467691130294144691258380, 0.405845151377397166906606412076961,
          0.207784955007898467600689403773245, 0.0],
      3: [0.960491268708020283423507092629080, 0.774596669241483377035853079956480,
          0.434243749346802558002071502844628, 0.0]}  # fmt: skip


class NestedRule(NamedTuple):
    """Nodes on [-1, 1], Kronrod's and Gauss's weights, and the barycentric weights of interpolation."""

    nodes: np.ndarray
    kronrod: np.ndarray
    gauss: np.ndarray
    barycentric: np.ndarray


class Boxes(NamedTuple):
    """Boxes as arrays with one row each; integrals, those of sizes, and errors, for each integrand."""

    low: np.ndarray
    high: np.ndarray
    integral: np.ndarray
    size: np.ndarray
    error: np.ndarray
    axis: np.ndarray
    members: list[np.ndarray]


def integrate_adaptively(integrands: Integrands, region: Region, probes: Probes, rtol: float) -> Sums:
    """The integral of each integrand over the box of a region of two or three dimensions, with its error."""
    frame = region.frame._replace(top=np.asarray(probes.top))
    dim, rule, rng = len(frame.low), _rule(len(frame.low)), np.random.default_rng(2)
    boxes = _measure(integrands, frame, rule, probes, *_first_boxes(frame, probes.u))
    totals = [(len(boxes.low), boxes.integral.sum(axis=0))]
    at_once = max(8, AT_ONCE // int(np.ceil(integrands.count / 8)))
    for _ in range(ROUNDS):
        chosen = _choose(boxes, rtol, (frame.high - frame.low).max())[-at_once:]
        if not chosen.size:
            totals = []
            break
        if len(boxes.low) + len(chosen) > MOST[dim]:
            break
        halves = _measure(integrands, frame, rule, probes, *_halve(rng, boxes, chosen, probes.u))
        halves = halves._replace(error=np.maximum(halves.error, DOUBT * np.tile(boxes.error[chosen], (2, 1))))
        kept = np.setdiff1d(np.arange(len(boxes.low)), chosen)
        arrays = (np.concatenate([a[kept], b]) for a, b in zip(boxes[:-1], halves[:-1], strict=True))
        boxes = Boxes(*arrays, [boxes.members[i] for i in kept] + halves.members)
        totals.append((len(boxes.low), boxes.integral.sum(axis=0)))
    value, size, error = (array.sum(axis=0) for array in (boxes.integral, boxes.size, boxes.error))
    for count, before in totals:  # where boxes ran out, what the last half of them has changed is an error too
        if count >= MOST[dim] / 2:
            error = np.maximum(error, np.abs(value - before))
    return Sums(value, size, COVER * error, probes.top)


def _first_boxes(frame: Coordinates, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Corners of the first boxes, and the probes in each; no edge lies in the middle, where features like to be."""
    dim = len(frame.low)
    count = FIRST[dim]
    shares = np.arange(count + 1) / count + np.where(np.arange(count + 1) % count, OFFSET / count, 0.0)
    index = np.indices([count] * dim).reshape(dim, -1).T
    whole = frame.high - frame.low
    place = np.searchsorted(shares[1:-1], (u - frame.low) / whole)
    owner = place @ count ** np.arange(dim)[::-1]
    members = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner, minlength=count**dim))[:-1])
    return frame.low + shares[index] * whole, frame.low + shares[index + 1] * whole, members


def _rule(dim: int) -> NestedRule:
    half = np.array(_X[dim])
    nodes = np.concatenate([-half, half[-2::-1]])
    gaps = nodes[:, None] - nodes + np.eye(len(nodes))
    gauss = np.zeros(len(nodes))
    gauss[1::2] = np.polynomial.legendre.leggauss(len(nodes) // 2)[1]
    powers = np.polynomial.legendre.legvander(nodes, len(nodes) - 1)
    whole = 2.0 * np.eye(len(nodes))[0]  # the integrals of the Legendre polynomials
    return NestedRule(nodes, np.linalg.solve(powers.T, whole), gauss, 1.0 / np.prod(gaps, axis=1))


def _measure(
    integrands: Integrands,
    frame: Coordinates,
    rule: NestedRule,
    probes: Probes,
    low: np.ndarray,
    high: np.ndarray,
    members: list,
) -> Boxes:
    """Boxes with their integrals and errors, and the axis across which to halve each."""
    dim, nodes = low.shape[1], len(rule.nodes)
    t = np.array(np.meshgrid(*[rule.nodes] * dim, indexing="ij")).reshape(dim, -1).T
    u = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * t
    logs, signs = integrands.values(frame, u.reshape(-1, dim))
    values = np.where(np.isnan(signs), 0.0, signs) * np.exp(np.minimum(logs - probes.top, 700.0))
    values = values.reshape(len(low), nodes**dim, -1)
    volume = np.prod((high - low) / 2, axis=1)[:, None]
    rules = [[rule.kronrod] * dim, [rule.gauss] * dim]
    rules += [[rule.gauss if i == axis else rule.kronrod for i in range(dim)] for axis in range(dim)]
    weights = np.array([_product(each) for each in rules])
    found = np.einsum("wn,bnk->wbk", weights, values) * volume
    size = np.einsum("n,bnk->bk", weights[0], np.abs(values)) * volume
    gap, misfit = np.abs(found[0] - found[1]), _misfit(rule, probes, low, high, values, members) * volume * 2**dim
    scale = np.maximum(size.sum(axis=0), 1e-300)
    along = (np.abs(found[0] - found[2:]) / scale).max(axis=2).T
    unseen = (misfit / scale).max(axis=1) > 2 * along.max(axis=1)
    sides = (high - low) / (frame.high - frame.low)
    axis = np.where(unseen, sides.argmax(axis=1), along.argmax(axis=1))
    return Boxes(low, high, found[0], size, np.maximum(gap, misfit), axis, members)


def _product(weights: list[np.ndarray]) -> np.ndarray:
    whole = weights[0]
    for more in weights[1:]:
        whole = np.multiply.outer(whole, more)
    return whole.ravel()


def _misfit(
    rule: NestedRule, probes: Probes, low: np.ndarray, high: np.ndarray, values: np.ndarray, members: list[np.ndarray]
) -> np.ndarray:
    """The mean distance of the integrands at the probes in each box from the polynomial through its nodes."""
    counts = np.array([len(mine) for mine in members])
    distance = np.zeros((len(low), values.shape[2]))
    index, box = np.concatenate(members), np.repeat(np.arange(len(low)), counts)
    for start in range(0, len(index), INTERPOLATED):
        mine, inside = index[start : start + INTERPOLATED], box[start : start + INTERPOLATED]
        t = (2.0 * probes.u[mine] - low[inside] - high[inside]) / (high - low)[inside]
        gaps = t[:, :, None] - rule.nodes
        weights = rule.barycentric / np.where(gaps == 0, 1e-300, gaps)
        weights /= weights.sum(axis=2, keepdims=True)
        fitted = values[inside].reshape(len(mine), *[len(rule.nodes)] * t.shape[1], -1)
        for axis in range(t.shape[1]):
            fitted = np.einsum("pi,pi...->p...", weights[:, axis], fitted)
        np.add.at(distance, inside, np.abs(probes.values(mine) - fitted))
    return distance / np.maximum(counts, 1)[:, None]


def _choose(boxes: Boxes, rtol: float, length: float) -> np.ndarray:
    """The boxes to halve, by growing error, so that what is left adds to half of the tolerance."""
    whole = np.maximum(np.maximum(boxes.size.sum(axis=0), boxes.error.sum(axis=0)), np.finfo(float).tiny)
    worst = (boxes.error / whole).max(axis=1)
    worst = np.where((boxes.high - boxes.low).max(axis=1) < NARROWEST * length, 0.0, worst)
    order = np.argsort(worst)
    return order[(np.cumsum(worst[order]) > rtol / 2) & (worst[order] > WORST * worst[order[-1]])]


def _halve(
    rng: np.random.Generator, boxes: Boxes, chosen: np.ndarray, u: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Both halves of boxes: their corners, and the probes in each; uneven, lest jumps lie along faces of many."""
    low, high, axis = boxes.low[chosen], boxes.high[chosen], boxes.axis[chosen]
    rows, share = np.arange(len(chosen)), 0.5 + UNEVEN * (rng.uniform(size=len(chosen)) - 0.5)
    middle = low[rows, axis] + share * (high - low)[rows, axis]
    left, right = high.copy(), low.copy()
    left[rows, axis] = right[rows, axis] = middle
    below = [u[boxes.members[i], a] < m for i, a, m in zip(chosen, axis, middle, strict=True)]
    first = [boxes.members[i][b] for i, b in zip(chosen, below, strict=True)]
    second = [boxes.members[i][~b] for i, b in zip(chosen, below, strict=True)]
    return np.concatenate([low, right]), np.concatenate([left, high]), first + second
