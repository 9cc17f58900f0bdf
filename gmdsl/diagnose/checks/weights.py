"""Weighted draws: how many count, whether the weights have a variance; by `gmdsl.results.reliability`."""

import json
from typing import Any

import numpy as np

from gmdsl.diagnose.report import Finding
from gmdsl.results.agreement import APART, Agreement
from gmdsl.results.estimate import LogZ
from gmdsl.results.reliability import judge, pareto_k

__all__ = ["constants_of", "pareto_k", "weights", "weights_of"]


def weights(log_weight: np.ndarray, outgrown: str = "", doubt: str = "") -> Finding:
    """The finding "weights" from log-weights; draws resampled from them are as good as they are.

    Args:
        log_weight: logarithms of the weights.
        outgrown: where the target has heavier tails than the reference, in words.
        doubt: what else speaks against them, in words.
    """
    verdict = judge(log_weight, outgrown, doubt)
    return Finding("weights", verdict.status, verdict.evidence, verdict.advice)


def weights_of(tree: Any) -> Finding:
    """The finding of a tree with the group `particles`."""
    log_weight, attrs = tree["particles"]["log_weight"].values, tree.attrs
    if "log_z_judged" in attrs:  # not a matter of the weights alone
        return Finding("weights", *json.loads(attrs["log_z_judged"]))
    return weights(log_weight, attrs.get("weights_outgrown", ""), attrs.get("weights_doubt", ""))


def constants_of(found: LogZ | Agreement) -> list[Finding]:
    """What estimates of a log normalising constant are worth, and whether several agree."""
    if isinstance(found, LogZ):
        verdict = found.verdict
        name = "weights" if found.judged is None else "log Z"
        return [Finding(name, verdict.status, verdict.evidence, verdict.advice)]
    rows = [
        Finding(f"{number + 1} {row.method.split('(')[0]}", row.status, row.verdict.evidence, row.verdict.advice)
        for number, row in enumerate(found.rows)
    ]
    apart = np.isnan(found.worst) or found.worst > APART
    evidence = f"the largest gap is {found.worst:.1f} standard errors"
    advice = "Some do not see all of the mass. Take more temperatures, or another reference." if apart else ""
    return [*rows, Finding("agreement", "suspect" if apart else "ok", evidence, advice)]
