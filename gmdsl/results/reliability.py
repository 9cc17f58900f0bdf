r"""Whether weighted draws give numbers that can be trusted: one verdict, for `LogZ.status` and for `gm.check`.

The effective number is $(\sum w)^2 / \sum w^2$. The shape k of a Pareto distribution fitted to the largest weights
says more: from 0.5 on the weights have no variance, and above $1 - 1/\log_{10} n$ n draws are too few to tell their
mean. Neither sees a region that no draw has reached, as where the reference has lighter tails than the target.

Reference:
    Kong, *A note on importance sampling using standardized weights*, 1992; Vehtari et al., *Pareto smoothed
    importance sampling*, JMLR 25, 2024.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gmdsl.inference.weights import normalized_weights

LEAST_SHARE = 0.05
LEAST = 100
HEAVY = 0.6  # k above which no number of draws is enough; PSIS allows 0.7, where the stated error covers too seldom
EQUAL = 1e-4  # nats within which weights are equal; single precision tells no less
PSIS = 0.7  # the limit in the literature, named where k is above it, too
CELL = 0.25  # nats between neighbouring values of log-weights on a grid, at most
FEW = 25  # draws that a tail is fitted to, at least

HOLDING = 3e-4  # mean acceptance rate of a few moves below which a point cannot be left
HELD = 0.015  # share of such points: up to 0.013 seen where the scale varies mildly, 0.016 and more on a funnel
MOVING = 0.02  # acceptance rate below which particles stay where they are
TOGETHER = 0.5  # effective share of the populations below which they disagree

ADVICE = "Take more temperatures, longer moves, or a closer reference."
WIDER = "Take a wider reference: one whose tails are at least as heavy as those of the target."


@dataclass(frozen=True)
class Verdict:
    """What weights are worth.

    Attributes:
        status: "ok", "suspect" or "failed".
        evidence: what was measured.
        advice: the next step; empty where all is well.
    """

    status: str
    evidence: str
    advice: str = ""


def judge(log_weight: np.ndarray, outgrown: str = "", doubt: str = "") -> Verdict:
    """The verdict on weighted draws.

    Args:
        log_weight: logarithms of the weights, in any shape; NaN counts as no weight.
        outgrown: where the target has heavier tails than the reference, in words.
        doubt: what else speaks against them, in words.

    >>> import numpy as np
    >>> judge(np.zeros(1000)).evidence
    '1000 of 1000 particles count, their weights are equal'
    """
    log_weight = np.where(np.isnan(log_weight), -np.inf, np.asarray(log_weight, float)).ravel()
    total, top = log_weight.size, log_weight.max(initial=-np.inf)
    if not np.isfinite(top):
        evidence = f"no weight: ESS 0 of {total} particles, log Z = {'inf' if top > 0 else '-inf'}"
        return Verdict("failed", evidence, "Take a reference that covers the target.")
    weight = np.exp(log_weight - top)
    size = float(weight.sum() ** 2 / (weight**2).sum())
    k, limit = pareto_k(log_weight), min(HEAVY, 1.0 - 1.0 / np.log10(max(total, FEW)))
    evidence = f"{size:.0f} of {total} particles count, "
    evidence += _tell_tail(log_weight, k)
    evidence += f", above {PSIS if k > PSIS else limit:.3g}: a few more particles may change all" if k > limit else ""
    if outgrown:
        evidence += f"; the target has heavier tails than the reference along {outgrown}: the error does not cover"
        return Verdict("suspect", evidence, WIDER)
    if doubt:
        return Verdict("suspect", f"{evidence}; {doubt}", ADVICE)
    if size < max(LEAST_SHARE * total, min(LEAST, total / 2)) or k > limit:
        return Verdict("suspect", evidence, ADVICE)
    return Verdict("ok", evidence)


def doubt_of_walk(log_weight: np.ndarray, groups: int, acceptance: np.ndarray, rates: Any = None) -> str:
    """What speaks against a population that was resampled and moved on its way, in words; empty where nothing does.

    Resampling makes weights equal that say nothing of what was lost. Populations that were walked apart do: their
    estimates lie within a nat or so where all went well. Moves that are hardly ever accepted leave copies as they are.

    Args:
        log_weight: of the particles, population by population.
        groups: populations of one size; 0 where each particle is on its own.
        acceptance: mean rate of the moves at each temperature; NaN where none is reported.
        rates: acceptance rate of each particle at the end, over a few moves from where it is.

    >>> doubt_of_walk(np.repeat([0.0, 0.1, 0.0, 5.0], 10), 4, np.array([0.6, 0.5]))
    'one population of 4 has most of the weight'
    """
    reported = acceptance[np.isfinite(acceptance)]
    if reported.size and reported.min() < MOVING:
        return f"moves were accepted at {reported.min():.2g} at one temperature"
    if rates is not None and (share := held_share(np.asarray(rates), normalized_weights(log_weight))) > HELD:
        return f"{share:.0%} of the particles cannot leave their place: the step fits the others"
    if groups:
        mean = np.exp(log_weight - log_weight.max()).reshape(groups, -1).mean(axis=1)
        if mean.sum() ** 2 / (mean**2).sum() < TOGETHER * groups:
            return (
                f"one population of {groups} has most of the weight"
                if mean.max() > 0.5 * mean.sum()
                else (f"the {groups} populations disagree")
            )
    return ""


def held_share(rates: np.ndarray, weight: np.ndarray) -> float:
    """The weighted share of points from which next to no move is accepted.

    >>> held_share(np.array([0.0, 0.9, np.nan, 0.8]), np.full(4, 0.25))
    0.25
    """
    return float(np.sum(weight * (np.nan_to_num(rates, nan=1.0) < HOLDING)))


def pareto_k(log_weight: np.ndarray) -> float:
    """The shape of the upper tail of weights, by ArviZ; NaN for too few or tied ones, -inf for equal ones.

    >>> import numpy as np
    >>> bool(0.3 < pareto_k(0.5 * np.random.default_rng(0).exponential(size=20_000)) < 0.7)
    True
    """
    log_weight = np.asarray(log_weight, float).ravel()
    log_weight = log_weight[np.isfinite(log_weight)]
    if log_weight.size < FEW:
        return float("nan")
    if np.ptp(log_weight) < EQUAL:
        return float("-inf")
    k = _fitted_k(log_weight)
    if not np.isnan(k):
        return k
    # Many data in single precision: the log-density is a large number, and weights lie on a grid. They are spread over
    # its cells, which changes no weight by more than half a cell.
    cell = float(np.diff(np.unique(log_weight)).min())
    if cell > CELL:
        return k
    return _fitted_k(log_weight + cell * np.random.default_rng(0).uniform(-0.5, 0.5, log_weight.size))


def _fitted_k(log_weight: np.ndarray) -> float:
    from arviz_stats.base import array_stats

    try:
        with np.errstate(all="ignore"):
            return float(array_stats.psislw(log_weight.max() - log_weight)[1])  # it takes minus log-weights
    except ValueError:  # all weights of the tail are the same
        return float("nan")


def unseen_share(log_weight: np.ndarray) -> float:
    """What the tail beyond the largest weight adds to a mean on average, as a share of the mean, by the fitted k."""
    weight = np.exp(log_weight - log_weight.max())
    k = pareto_k(log_weight)
    k = float(np.clip(0.0 if np.isnan(k) else k, 0.0, 0.5))
    return float(weight.max() / weight.sum()) * k / (1.0 - k)


def _tell_tail(log_weight: np.ndarray, k: float) -> str:
    count = int(np.isfinite(log_weight).sum())
    if np.isfinite(k):
        return f"Pareto k {k:.2f}"
    if k == -np.inf:
        return "their weights are equal"
    return "Pareto k not examined: " + (
        f"{count} weights, and {FEW} are needed" if count < FEW else "the largest weights are tied in this precision"
    )
