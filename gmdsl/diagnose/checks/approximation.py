"""What an approximation tells of itself: where its starts ended, and how far its draws are from the target.

Its draws are those of another density. Weights whose tail is light can carry them to the target; else they are no
substitute for a chain, whatever their number. What a user reads is the group `posterior`, whose draws are not weighted
unless the approximation resamples: so their means and spreads are compared with those that the weights give.
"""

from typing import Any

import numpy as np

from gmdsl.diagnose.checks.weights import weights
from gmdsl.diagnose.report import Finding
from gmdsl.inference.weights import normalized_weights

SHIFT = 0.25  # standard deviations between two means that are called different
STRETCH = 0.25  # of the logarithm of the ratio of two standard deviations
ERRORS = 3.0  # standard errors

CHAIN = "Start a chain from it, gm.sample(model, gm.NUTS(), init=...), or take a richer approximation."


def approximation(tree: Any) -> list[Finding | None]:
    """The findings "law of the sampler", "weights", "moments" and "starts" of an approximation."""
    found: list[Finding | None] = [Finding("law of the sampler", "note", tree["posterior"].attrs["bias"], CHAIN)]
    if "particles" in tree.children:
        of_weights = weights(tree["particles"]["log_weight"].values)
        advice = CHAIN if of_weights.advice else ""
        found.append(Finding(of_weights.name, of_weights.status, of_weights.evidence, advice))
        found.append(_moments(tree["posterior"], tree["particles"]))
    else:
        found.append(Finding("weights", "note", "not examined: a point has no weights", CHAIN))
    return [*found, _starts(tree["approximation"])]


def _moments(posterior: Any, particles: Any) -> Finding | None:
    """The finding "moments": means and standard deviations of the draws against those of the weighted particles."""
    weight = normalized_weights(np.nan_to_num(particles["log_weight"].values.ravel().astype(float), nan=-np.inf))
    if not weight.any():
        return None
    size, rows = 1.0 / (weight**2).sum(), []
    for name in posterior.data_vars:
        if name not in particles or not np.issubdtype(particles[name].dtype, np.floating):
            continue
        drawn = posterior[name].values.astype(float).reshape(weight.size, -1)
        given = particles[name].values.astype(float).reshape(weight.size, -1)
        moves = np.ptp(given, axis=0) > 0  # others are data, in a variable that is computed
        drawn, given = drawn[:, moves], given[:, moves]
        if not moves.any():
            continue
        mean = weight @ given
        spread = np.sqrt(weight @ (given - mean) ** 2)
        with np.errstate(all="ignore"):
            shift = np.abs(drawn.mean(axis=0) - mean) / spread
            stretch = np.abs(np.log(drawn.std(axis=0) / spread))
        if np.isfinite(shift).any() and np.isfinite(stretch).any():
            rows.append((float(np.nanmax(shift)), float(np.nanmax(stretch)), name))
    if not rows:
        return None
    (shift, _, there), (_, stretch, where) = max(rows), max(rows, key=lambda row: row[1])
    evidence = (
        f"mean of {there} {shift:.2g} sd from the weighted one, sd of {where} {100 * np.expm1(stretch):.0f} % off"
    )
    noise = ERRORS / np.sqrt(size)
    wrong = shift > max(SHIFT, noise) or stretch > max(STRETCH, noise)
    return Finding("moments", "suspect" if wrong else "ok", evidence, CHAIN if wrong else "")


def _starts(group: Any) -> Finding | None:
    """The finding "starts": whether all climbs ended at one mode."""
    if "elsewhere" not in group:
        return None
    apart, height = group["elsewhere"].values, group["end_log_density"].values
    total, count = apart.size, int(apart.sum())
    if not count:
        return Finding("starts", "ok", f"all {total} ended at one mode")
    best = np.nanmax(height[~apart])
    lower = best - height[apart]
    evidence = f"{count} of {total} ended at other modes, the nearest lower by {np.nanmin(lower):.2g} in log-density"
    return Finding("starts", "suspect", evidence, "One mode speaks for all here. Raise starts=, or run chains.")
