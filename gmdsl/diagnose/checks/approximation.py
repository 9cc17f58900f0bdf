"""What an approximation tells of itself: where its starts ended, and how far its draws are from the target.

Its draws are those of another density. Weights with a Pareto k below 0.7 can carry them to the target; above it they
are no substitute for a chain, whatever their number.
"""

from typing import Any

import numpy as np

from gmdsl.diagnose.checks.weights import weights
from gmdsl.diagnose.report import Finding

CHAIN = "Start a chain from it, gm.sample(model, gm.NUTS(), init=...), or take a richer approximation."


def approximation(tree: Any) -> list[Finding | None]:
    """The findings "law of the sampler", "weights" and "starts" of an approximation."""
    found: list[Finding | None] = [Finding("law of the sampler", "note", tree["posterior"].attrs["bias"], CHAIN)]
    if "particles" in tree.children:
        of_weights = weights(tree["particles"]["log_weight"].values)
        advice = CHAIN if of_weights.advice else ""
        found.append(Finding(of_weights.name, of_weights.status, of_weights.evidence, advice))
    else:
        found.append(Finding("weights", "note", "not examined: a point has no weights", CHAIN))
    return [*found, _starts(tree["approximation"])]


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
