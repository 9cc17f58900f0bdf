r"""Log Z of nested sampling: its error, from volumes that are known in law only, and what speaks against it.

Of n points alive the volume above the lowest shrinks by a factor of law Beta(n, 1), whatever the likelihood. The
factors are drawn many times over, and the spread of log Z is its standard error; it is about $\sqrt{H / n}$ with the
information $H = \int \log(p / q Z)\,dp$. Had every new point been independent of the survivors, its rank among them
would be uniform, and unlike that of the one it began at: tests of both say whether the moves were long enough.

References:
    Skilling, *Nested sampling for general Bayesian computation*, Bayesian Analysis 1, 2006; Fowlie, Handley, Su,
    *Nested sampling cross-checks using order statistics*, 2020, arXiv:2006.03371.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from gmdsl.inference.weights import effective_size_on_host, normalized_weights
from gmdsl.results.estimate import LogZ
from gmdsl.results.reliability import LEAST, WIDER, Verdict

BINS = 10  # of the ranks of new points
SIMULATIONS = 200
ODD_ERRORS = 4.0  # standard errors of a correlation
ODD = 1e-4  # chance of ranks so uneven, below which moves were too short
MOVING = 0.5  # share of slices that moved, below which something is wrong with the density
ALIKE = 0.1  # correlation of the ranks of a new point and of the survivor it began at; 0.02 seen with enough steps, to
# 0.06 on plateaus, and 0.2 where log Z was wrong by two errors
STEEP = 0.85  # growth of log L by log X at the end, of which 1 has no end: what is left is 1 / (1 - it) times as much

LONGER = "Take more steps, gm.NestedSampling(steps=...)."


class NestedRecord(NamedTuple):
    """What nested sampling leaves behind besides its points.

    Attributes:
        height: log-likelihoods, of dead points in their order, then of the live ones.
        finished: whether the live points hold as little as was asked for.
        batches: how often points were replaced.
        ranks: how many new points had which rank among the survivors, in bins.
        moved: mean share of slices that found another point.
        alike: correlation of the rank of a new point with that of the survivor it began at.
    """

    height: Any
    finished: Any
    batches: Any
    ranks: Any
    moved: Any
    alike: Any


def nested_estimate(population: Any, live: int, batch: int, method: str) -> LogZ:
    """The estimate of log Z of a finished climb.

    Args:
        population: dead points in their order and then the live ones.
        live: how many are alive.
        batch: how many are replaced at a time.
        method: what made it.
    """
    climb, log_weight = population.record, np.asarray(population.log_weight, float)
    height = np.asarray(climb.height, float)
    top = log_weight.max(initial=-np.inf)
    curve = {"betas": np.asarray(population.betas), "log_z": np.asarray(population.curve)}
    if not np.isfinite(top):
        return LogZ(-np.inf, np.inf, 0.0, curve, method, len(height), log_weight)
    value = float(top + np.log(np.mean(np.exp(log_weight - top))))
    weight = normalized_weights(log_weight)
    information = float(weight[weight > 0] @ height[weight > 0] - value)
    simulated = simulated_log_z(height, live, batch)
    error = float(max(simulated.std(ddof=1), np.sqrt(max(information, 0.0) / live)))
    size = effective_size_on_host(log_weight)
    verdict = _judge(climb, information, size, live, batch)
    return LogZ(value, error, size, curve, method, len(height), log_weight, judged=verdict)


def simulated_log_z(height: Float[np.ndarray, " n"], live: int, batch: int, count: int = SIMULATIONS) -> np.ndarray:
    r"""Log Z with volumes that are drawn, so many times.

    Args:
        height: log-likelihoods, of dead points in batches of increasing order, then of the live ones.
        live: how many are alive.
        batch: how many are replaced at a time.
        count: how many times.

    >>> flat = simulated_log_z(np.zeros(1000), 100, 10)  # all volumes add to one
    >>> bool(np.abs(flat).max() < 1e-9)
    True
    """
    dead = len(height) - live
    alive = np.concatenate([live - np.arange(dead) % batch, live - np.arange(live)]).astype(float)
    rng, found = np.random.default_rng(0), np.empty(count)
    top = height.max()
    for number in range(count):
        shrink = -rng.exponential(size=len(height)) / alive  # the logarithm of a Beta(n, 1) variable
        shrink[-1] = -np.inf  # the last one has all that is left
        before = np.concatenate([[0.0], np.cumsum(shrink)[:-1]])
        with np.errstate(divide="ignore"):
            terms = height - top + before + np.log(-np.expm1(shrink))
        most = terms.max()
        found[number] = top + most + np.log(np.exp(terms - most).sum())
    return found


def uneven_ranks(ranks: Int[np.ndarray, " bins"], live: int, batch: int) -> float:
    """The chance of ranks as uneven as these, if new points were independent.

    >>> round(uneven_ranks(np.full(10, 100), 500, 50), 3), bool(uneven_ranks(np.linspace(10, 190, 10), 500, 50) < 1e-4)
    (1.0, True)
    """
    kept = live - batch
    expected = np.bincount(np.arange(kept + 1) * BINS // (kept + 1), minlength=BINS) / (kept + 1) * ranks.sum()
    if expected.min() < 5.0:
        return 1.0
    spread = 1.0 + batch / kept  # points of one batch are compared with the same survivors
    return float(stats.chi2.sf(((ranks - expected) ** 2 / expected).sum() / spread, BINS - 1))


def _judge(climb: NestedRecord, information: float, size: float, live: int, batch: int) -> Verdict:
    """The verdict."""
    nats = -int(climb.batches) * np.log1p(-batch / live)
    evidence = f"{size:.0f} points count after {nats:.0f} nats of shrinking; the information is {information:.1f} nats"
    if not bool(climb.finished):
        evidence += "; it ended before the live points held little"
        return Verdict("suspect", evidence, "Let the volume shrink further, gm.NestedSampling(nats=...).")
    if float(climb.moved) < MOVING and int(climb.batches):
        evidence += f"; {1.0 - float(climb.moved):.0%} of the slices found no other point"
        return Verdict("suspect", evidence, LONGER)
    if float(climb.alike) > ALIKE + ODD_ERRORS / np.sqrt(max(int(climb.batches) * batch, 1)):
        evidence += f"; new points are like those they began at (correlation {float(climb.alike):.2f})"
        return Verdict("suspect", evidence, LONGER)
    if (chance := uneven_ranks(np.asarray(climb.ranks), live, batch)) < ODD:
        evidence += f"; new points are not spread like the survivors (p = {chance:.1g})"
        return Verdict("suspect", evidence, LONGER)
    if (growth := _growth_at_end(np.asarray(climb.height, float), live, batch)) > STEEP:
        evidence += (
            f"; the likelihood still grows like the volume to the power -{growth:.2f}: the target has heavier tails"
        )
        return Verdict("suspect", evidence, WIDER)
    if size < min(LEAST, live / 2):
        return Verdict("suspect", evidence, "Take more points, gm.NestedSampling(live=...).")
    return Verdict("ok", evidence)


def _growth_at_end(height: np.ndarray, live: int, batch: int) -> float:
    """By how much log L grows when log X falls by one, over the last points that died.

    Points on a plateau at the top say nothing of the climb to it: it may be where the numbers of a precision end.
    """
    dead, top = height[: len(height) - live], height.max()
    log_volume = np.arange(len(dead)) // batch * np.log1p(-batch / live)
    below = dead < top
    last, log_volume = dead[below][-2 * live :], log_volume[below][-2 * live :]
    if len(last) < live or not np.isfinite(last).all() or (not below.all() and len(np.unique(last)) < live):
        return 0.0  # too few, or steps of plateaus
    return -float(np.polyfit(log_volume, last, 1)[0])
