"""Do the draws grow without bound? What an improper density does to chains.

On a density that does not fall along some direction a sampler steps out for ever: warm-up raises the step until
every proposal is accepted, and draws move away by orders of magnitude without coming to rest. A heavy tail does
neither: its middle half keeps its width. So widths are those of the middle half, and growth counts only
where the chains also disagree, because a target in large units grows too, from starts near zero, and then rests.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gmdsl.diagnose.checks.draws import by_element
from gmdsl.diagnose.examined import with_density
from gmdsl.diagnose.report import Finding, listed

RUNAWAY = 1e10
GROWTH = 30.0  # width of the last draws over that of the first warm-up draws
UNSETTLED = 1.3  # R-hat above which chains have not come to rest

ADVICE = "The density may be improper: add a prior, or a term that grows along every direction. See gm.lint(model)."


def drift(tree: Any, moving: Any) -> Finding | None:
    """The finding "bounded draws"; None where the draws are too few to tell."""
    names = list(moving.data_vars.keys())
    far = [n for n in names if np.nanmax(np.abs(moving.variables[n].values), initial=0.0) > RUNAWAY]
    if far:
        evidence = f"{listed(far)} runs away beyond {RUNAWAY:.0e}"
        if (step := _largest_step(tree)) > RUNAWAY**0.5:
            evidence += f", with steps of up to {step:.1g}: no step is too large here"
        return Finding("bounded draws", "failed", evidence, ADVICE)
    if moving.sizes["draw"] < 20 or moving.sizes["chain"] < 2:
        return None
    growing, largest, first = [], 1.0, _warmup(tree)
    for name in names:
        ratio = _growth(by_element(moving.variables[name]), first(name))
        if ratio > GROWTH and _disagreement(moving[name]) > UNSETTLED:
            growing.append(name)
            largest = max(largest, ratio)
    if not growing:
        return Finding("bounded draws", "ok", "the width of the draws settles")
    evidence = f"{listed(growing)} grows without coming to rest: {largest:.1g} times as wide as at first"
    if accepted := _always_accepted(tree):
        evidence += f", step size {accepted:.2g} and still every proposal accepted"
    return Finding("bounded draws", "failed" if accepted or largest > GROWTH**2 else "suspect", evidence, ADVICE)


def _warmup(tree: Any) -> Callable[[str], np.ndarray | None]:
    """A function of a name: its first draws of warm-up, from which widths grow."""
    names = [n for n in ("warmup_unconstrained_posterior", "warmup_posterior") if n in tree.children]
    groups = [with_density(tree[n], tree).variables for n in names if tree[n].sizes["draw"] >= 20]

    def first(name: str) -> np.ndarray | None:
        group = next((group for group in groups if name in group), None)
        draws = None if group is None else by_element(group[name])
        return None if draws is None else draws[:, : max(10, draws.shape[1] // 20)]

    return first


def _growth(draws: np.ndarray, first: np.ndarray | None) -> float:
    """Width of the last quarter over that of the first draws, of the element where it is largest."""
    quarter = draws.shape[1] // 4
    before = draws[:, :quarter] if first is None else first
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = _width(draws[:, -quarter:]) / _width(before)
    ratio = ratio[np.isfinite(ratio)]
    return float(ratio.max(initial=0.0))


def _width(draws: np.ndarray) -> np.ndarray:
    """Between the quartiles of all chains together, per element."""
    low, high = np.percentile(draws, [25, 75], axis=(0, 1))
    return high - low


def _disagreement(variable: Any) -> float:
    import arviz_stats

    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.atleast_1d(arviz_stats.rhat(variable).values)
    return float(np.nanmax(values)) if np.isfinite(values).any() else 1.0


def _always_accepted(tree: Any) -> float:
    """The step size, where warm-up has raised it and still everything is accepted; else 0."""
    stats = tree["sample_stats"] if "sample_stats" in tree.children else {}
    accepted = "acceptance_rate" in stats and float(np.mean(stats["acceptance_rate"].values)) > 0.999
    return _step(tree) if accepted and _step(tree) > 10.0 else 0.0


def _step(tree: Any) -> float:
    """The step size that warm-up has settled on; 0 where there is none."""
    stats = tree["sample_stats"] if "sample_stats" in tree.children else {}
    return float(np.nan_to_num(np.median(stats["step_size"].values))) if "step_size" in stats else 0.0


def _largest_step(tree: Any) -> float:
    """The largest step size that warm-up tried or settled on."""
    groups = [tree[name] for name in ("warmup_sample_stats", "sample_stats") if name in tree.children]
    steps = [group["step_size"].values for group in groups if "step_size" in group]
    return max((float(s[np.isfinite(s)].max(initial=0.0)) for s in steps), default=0.0)
