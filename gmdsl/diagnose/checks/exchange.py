"""Chains on several rungs of a path: whether copies travel from the reference to the target and back."""

from typing import Any

from gmdsl.diagnose.report import Finding
from gmdsl.results.exchange import NARROW, REFUSED, TRIPS
from gmdsl.results.reliability import WIDER

MORE_RUNGS = "Take more temperatures."
MORE_DRAWS = "Take more draws, or fewer temperatures where most swaps are accepted."


def exchange(tree: Any) -> Finding | None:
    """The finding "exchange" of a run with the group `tempering`; None for others."""
    if "tempering" not in getattr(tree, "children", {}):
        return None
    group = tree["tempering"]
    rate, trips = float(group["swap_rate"].values.min()), int(group["round_trips"].values.sum())
    evidence = f"{trips} round trips, swaps accepted at {rate:.2g} or more, barrier {tree.attrs['barrier']:.2g}"
    if rate < 1.0 - REFUSED:
        return Finding("exchange", "suspect", evidence, MORE_RUNGS)
    if trips < TRIPS:
        return Finding("exchange", "suspect", evidence, MORE_DRAWS)
    if (k := tree.attrs.get("reference_k", 0.0)) > NARROW:
        evidence += f"; weights from the reference to the next rung have a Pareto k of {k:.2f}"
        return Finding("exchange", "suspect", evidence, WIDER)
    return Finding("exchange", "ok", evidence, "")
