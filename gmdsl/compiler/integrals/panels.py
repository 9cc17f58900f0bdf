r"""Integrals along one line: Gauss-Kronrod rules on panels, which are halved where the integrands bend.

The error of a panel is the larger of two. One is the gap between the rules of 10 and 21 nodes. The other comes from
points that no rule has used, spread over the line and over its mass: there the polynomial through the 21 nodes
is compared with the integrand. It sees a spike between nodes, and a function that is zero at all of them.

Reference:
    Piessens, de Doncker-Kapenga, Ueberhuber and Kahaner, *QUADPACK*, 1983; Laurie, *Calculation of Gauss-Kronrod
    quadrature rules*, 1997.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gmdsl.compiler.integrals.frame import Region
from gmdsl.compiler.integrals.integrands import Integrands, NoIntegralError, Sums, count_same

PROBES = 2**16  # points that no rule uses
FIRST = 16  # panels to begin with, at least
MOST = 6000  # panels
AT_ONCE = 512  # panels halved in one round
ROUNDS = 80
NOISE = 1e-6  # share of the whole below which an error that halving does not lower is noise
STUCK = 3  # halvings in a row that did not lower it
NARROWEST = 1e-14  # of a panel, in units of the line
UNSETTLED = 1e-3  # share of its size in the error of a panel from where on it is not done
POLE = 1.0  # times what the narrowest panels beside a pole hold is what they may miss
SINGULAR = 1e-3  # share of an integral that the narrowest panels may hold

# abscissae of the 21-point Kronrod rule, its weights, and the weights of the 10-point Gauss rule at every second
_X = np.array([0.995657163025808080735527280689003, 0.973906528517171720077964012084452,
               0.930157491355708226001207180059508, 0.865063366688984510732096688423493,
               0.780817726586416897063717578345042, 0.679409568299024406234327365114874,
               0.562757134668604683339000099272694, 0.433395394129247190799265943165784,
               0.294392862701460198131126603103866, 0.14887433898163121088482600112972, 0.0])  # fmt: skip
_K = np.array([0.011694638867371874278064396062192, 0.03255816230796472747881897245938964,
               0.05475589657435199603138130024458018, 0.07503967481091995276704314091619001,
               0.093125454583697605535065465083366, 0.109387158802297641899210590325805,
               0.123491976262065851077958109585166, 0.134709217311473325928054001771707,
               0.142775938577060080797094273138717, 0.147739104901338491374841515972068,
               0.149445554002916905664936468389821])  # fmt: skip
_G = np.array([0.066671344308688137593568809893332, 0.149451349150580593145863396957,
               0.219086362515982043995534934228163, 0.269266719309996355091226921569469,
               0.295524224714752870173815619188769])  # fmt: skip
NODES = np.concatenate([-_X[:-1], _X[::-1]])
KRONROD = np.concatenate([_K[:-1], _K[::-1]])
GAUSS = np.zeros(21)
GAUSS[1:10:2], GAUSS[11:20:2] = _G, _G[::-1]
_GAPS = NODES[:, None] - NODES + np.eye(21)
BARYCENTRIC = 1.0 / np.prod(_GAPS, axis=1)


class Panels(NamedTuple):
    """Panels of a line, as arrays with one row each; `integral`, `size` and `error` for each integrand."""

    low: np.ndarray
    high: np.ndarray
    integral: np.ndarray
    size: np.ndarray
    error: np.ndarray
    stuck: np.ndarray

    def at(self, chosen: np.ndarray) -> "Panels":
        """Some of the panels."""
        return Panels(*(array[chosen] for array in self))


type Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], Panels]


class LineProbes(NamedTuple):
    """Points that no rule uses, in order, and the integrands there."""

    u: np.ndarray
    values: np.ndarray


def integrate_line(integrands: Integrands, region: Region, rtol: float) -> Sums:
    """The integral of each integrand over the box of a region of one dimension, with its error.

    Raises:
        NoIntegralError: an integrand grows without end near a point.
    """
    probes, top, same = _probe(integrands, region)
    frame = region.frame._replace(top=np.asarray(top))

    def measure(low: np.ndarray, high: np.ndarray, stuck: np.ndarray) -> Panels:
        u = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * NODES
        logs, signs = integrands.values(frame, u.reshape(-1, 1))
        values = _scaled(logs, signs, top).reshape(*u.shape, -1)
        half = (high - low)[:, None] / 2
        integral = half * np.einsum("j,pjk->pk", KRONROD, values)
        gap = np.abs(integral - half * np.einsum("j,pjk->pk", GAUSS, values))
        size = half * np.einsum("j,pjk->pk", KRONROD, np.abs(values))
        return Panels(low, high, integral, size, np.maximum(gap, _misfit(low, high, values, probes)), stuck)

    edges = _first_edges(region)
    panels = measure(edges[:-1], edges[1:], np.zeros(len(edges) - 1, int))
    for _ in range(ROUNDS):
        chosen = _choose(panels, rtol, edges[-1] - edges[0])
        if not chosen.size or len(panels.low) + chosen.size > MOST:
            break
        panels = _halve(panels, chosen, measure)
    error = panels.error.sum(axis=0) + _in_narrow(panels, integrands, edges[-1] - edges[0])
    return Sums(panels.integral.sum(axis=0), panels.size.sum(axis=0), error, top, same)


def _in_narrow(panels: Panels, integrands: Integrands, length: float) -> np.ndarray:
    """What panels that cannot be halved hold, which no rule has settled; raises where that is much."""
    narrow = panels.high - panels.low < 100 * NARROWEST * length
    share = np.where(narrow[:, None], np.maximum(panels.error, panels.size), 0.0).sum(axis=0)
    heavy = np.flatnonzero(share > SINGULAR * panels.size.sum(axis=0))
    if heavy.size:
        what = "the integral of the density" if heavy[0] == 0 else "the mean of the function"
        raise NoIntegralError(
            f"quadrature over {', '.join(integrands.target.free)}: {what} does not seem to exist: it grows without end"
            " near a point, or is too sharp there to be told. Change the variable, or take a function that is bounded."
        )
    # Beside a pole of a power near one the rules see a part of the panel only, and what they miss is as large.
    unsettled = narrow[:, None] & (panels.error > UNSETTLED * panels.size)
    return POLE * np.where(unsettled, np.maximum(panels.error, panels.size), 0.0).sum(axis=0)


def _probe(integrands: Integrands, region: Region) -> tuple[LineProbes, float, np.ndarray]:
    """Points spread over the line and over the mass that the first look has seen; the largest log-density; `same`."""
    frame, (nodes, logs) = region.frame, region.scan
    count = int(PROBES / np.ceil(integrands.count / 8))
    low, high = float(frame.low[0]), float(frame.high[0])
    even = low + (high - low) * (np.arange(count // 2) + 0.382) / (count // 2)
    mass = np.exp(logs - np.maximum(logs.max(axis=0), -1e300)) * np.gradient(nodes)[:, None]
    share = (mass / np.maximum(mass.sum(axis=0), 1e-300)).mean(axis=1) + 1e-12
    cumulative = np.cumsum(share) / share.sum()
    dense = np.interp((np.arange(count - count // 2) + 0.618) / (count - count // 2), cumulative, nodes)
    u = np.sort(np.concatenate([even, dense[(dense > low) & (dense < high)]]))
    logs, signs = integrands.values(frame, u[:, None])
    top = max(float(frame.top), float(logs[:, 0].max()))
    return LineProbes(u, _scaled(logs, signs, top)), top, count_same(logs, signs)


def _scaled(logs: np.ndarray, signs: np.ndarray, top: float) -> np.ndarray:
    """The integrands in units of exp(top); what is no number counts as nothing."""
    return np.where(np.isnan(signs), 0.0, signs) * np.exp(np.minimum(logs - top, 700.0))


def _first_edges(region: Region) -> np.ndarray:
    """Ends of the first panels: even ones, and some about each mode."""
    low, high = float(region.frame.low[0]), float(region.frame.high[0])
    _, chosen = np.unique(np.round(region.places[:, 0], 3), return_index=True)
    steps = np.array([-9.0, -3.0, 0.0, 3.0, 9.0])
    near = (region.places[chosen[:FIRST], :1] + region.widths[chosen[:FIRST], :1] * steps).ravel()
    edges = np.unique(np.concatenate([np.linspace(low, high, FIRST + 1), near[(near > low) & (near < high)]]))
    return edges[np.append(True, np.diff(edges) > NARROWEST * (high - low))]


def _misfit(low: np.ndarray, high: np.ndarray, values: np.ndarray, probes: LineProbes) -> np.ndarray:
    """The mean distance of the integrands from the polynomial through the nodes of a panel, times its length."""
    first, last = np.searchsorted(probes.u, low), np.searchsorted(probes.u, high)
    counts = np.maximum(last - first, 0)
    panel = np.repeat(np.arange(len(low)), counts)
    if not panel.size:
        return np.zeros((len(low), values.shape[2]))
    index = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[panel]
    t = (2.0 * probes.u[index] - low[panel] - high[panel]) / (high - low)[panel]
    gaps = t[:, None] - NODES
    weights = BARYCENTRIC / np.where(gaps == 0, 1e-300, gaps)
    weights /= weights.sum(axis=1, keepdims=True)
    distance = np.zeros((len(low), values.shape[2]))
    for start in range(0, len(index), 8192):
        some = slice(start, start + 8192)
        fitted = np.einsum("pj,pjk->pk", weights[some], values[panel[some]])
        np.add.at(distance, panel[some], np.abs(probes.values[index[some]] - fitted))
    return distance / np.maximum(counts, 1)[:, None] * (high - low)[:, None]


def _choose(panels: Panels, rtol: float, length: float) -> np.ndarray:
    """The panels to halve: those of the largest errors, so that what is left adds to half of the tolerance."""
    sizes = panels.size.sum(axis=0)
    whole = np.maximum(np.maximum(sizes, panels.error.sum(axis=0)), np.finfo(float).tiny)
    worst = (panels.error / whole).max(axis=1)
    dead = (panels.high - panels.low < NARROWEST * length) | ((panels.stuck >= STUCK) & (worst < NOISE))
    worst = np.where(dead, 0.0, worst)
    order = np.argsort(worst)
    rest = np.cumsum(worst[order])
    chosen = order[rest > rtol / 2]
    return chosen[-AT_ONCE:]


def _halve(panels: Panels, chosen: np.ndarray, measure: Measure) -> Panels:
    """The panels with some of them in two halves each."""
    old = panels.at(chosen)
    middle = (old.low + old.high) / 2
    new = measure(np.concatenate([old.low, middle]), np.concatenate([middle, old.high]), np.tile(old.stuck, 2))
    both = new.error[: len(chosen)] + new.error[len(chosen) :]
    worse = (both > 0.7 * old.error).any(axis=1)
    new = new._replace(stuck=np.where(np.tile(worse, 2), new.stuck + 1, 0))
    kept = np.delete(np.arange(len(panels.low)), chosen)
    return Panels(*(np.concatenate([a, b]) for a, b in zip(panels.at(kept), new, strict=True)))
