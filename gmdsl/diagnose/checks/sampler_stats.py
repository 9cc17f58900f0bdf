"""What the sampler reports of its own moves: divergences, limits, NaN, acceptance, energies.

E-BFMI compares the energy that is redrawn at each step with the spread of energies: below 0.3 a Hamiltonian
chain explores the tails by small steps in energy, however long its trajectories are.

Reference:
    Betancourt, *Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte Carlo*, 2016, arXiv:1604.00695.
"""

import json
from typing import Any

import numpy as np

from gmdsl.diagnose.report import Finding, percent
from gmdsl.inference.stats import RARE

BFMI = 0.3  # as in ArviZ
LEAST_DRAWS = 100  # draws per chain below which E-BFMI is not looked at
LOW_ACCEPTANCE = 0.3  # of what warm-up aimed at
LEVEL = 0.01  # chance that a run has more divergences, or NaN, than is called rare
UNEQUAL = 10.0  # ratio of step sizes between chains


def divergences(stats: Any) -> Finding | None:
    """The finding "divergences"."""
    if "diverging" not in stats:
        return None
    diverging = stats["diverging"].values
    count, total = int(diverging.sum()), diverging.size
    if count == 0:
        return Finding("divergences", "ok", f"0 of {total} draws")
    chains = int((diverging.sum(axis=1) > 0).sum())
    advice = "Reparametrise (a non-centred form), or raise target_accept towards 0.99."
    evidence = f"{count} of {total} draws ({percent(count / total)}) in {chains} chains"
    status = "note" if count <= _usual(total) else "suspect"
    return Finding("divergences", status, evidence, advice)


def depth(stats: Any) -> Finding | None:
    """The finding "tree depth"."""
    if "reached_max_treedepth" not in stats:
        return None
    share = float(stats["reached_max_treedepth"].values.mean())
    if share <= 0.01:
        return Finding("tree depth", "ok", f"{percent(share)} of draws at the limit")
    advice = "Raise max_tree_depth, or use a dense metric."
    return Finding("tree depth", "suspect", f"{percent(share)} of draws at the limit: slow, not wrong", advice)


def nan_evaluations(stats: Any) -> Finding | None:
    """The finding "NaN evaluations"."""
    if "nan_evaluations" not in stats:
        return None
    share = float(np.mean(stats["nan_evaluations"].values))
    if share == 0:
        return Finding("NaN evaluations", "ok", "the log-density was never NaN")
    advice = "The target is cut there. Guard the term that gives NaN, or declare the support."
    # a trajectory that flies off may overflow once in a while where the law has no mass to speak of
    counted = stats["nan_evaluations"].values
    status = "note" if np.sum(counted) <= _usual(counted.size) else "suspect"
    return Finding("NaN evaluations", status, f"{percent(share)} of proposals, all rejected", advice)


def _usual(total: int) -> int:
    """How many rare events clean runs may have: their number is Poisson's."""
    from scipy.stats import poisson

    return int(poisson.isf(LEVEL, RARE * total))


def bias(posterior: Any) -> Finding | None:
    """The finding "law of the sampler", where it differs from the target by design."""
    if "bias" not in posterior.attrs:
        return None
    advice = "Compare with half the step size, or correct it: gm.MALA."
    return Finding("law of the sampler", "note", posterior.attrs["bias"], advice)


def energies(stats: Any) -> Finding | None:
    """The finding "E-BFMI"."""
    if "energy" not in stats or stats.sizes["draw"] < LEAST_DRAWS:
        return None
    import arviz_stats

    energy = stats["energy"].transpose("chain", "draw").values
    if not np.isfinite(energy).all() or not energy.std(axis=1).all():
        return None
    values = np.atleast_1d(arviz_stats.bfmi(energy))
    worst = float(values.min())
    if worst >= BFMI:
        return Finding("E-BFMI", "ok", f"at least {worst:.2f}")
    count = int((values < BFMI).sum())
    advice = "Heavy tails or a funnel: reparametrise (a non-centred form)."
    return Finding("E-BFMI", "suspect", f"{worst:.2f}, below {BFMI} in {count} of {values.size} chains", advice)


def acceptance(stats: Any, attrs: Any) -> Finding | None:
    """The finding "acceptance": far below what warm-up aimed at, or chains tuned to unlike steps."""
    if "acceptance_rate" not in stats:
        return None
    rates = np.nanmean(stats["acceptance_rate"].transpose("chain", "draw").values, axis=1)
    aim = _aim(attrs)
    limit = LOW_ACCEPTANCE * aim if aim is not None else 0.01
    evidence = f"{rates.min():.2f} to {rates.max():.2f}" + (f", aimed at {aim:.2f}" if aim is not None else "")
    if not rates.min() >= limit:
        advice = "Lower step_size, or give it more warm-up; a metric that fits the target helps."
        return Finding("acceptance", "suspect", evidence, advice)
    steps = stats["step_size"].transpose("chain", "draw").values[:, -1] if "step_size" in stats else np.ones(1)
    if steps.min() > 0 and steps.max() > UNEQUAL * steps.min():
        evidence = f"step sizes differ between chains, {steps.min():.2g} to {steps.max():.2g}"
        return Finding("acceptance", "note", evidence, "They saw different regions: give more warm-up.")
    return Finding("acceptance", "ok", evidence)


def _aim(attrs: Any) -> float | None:
    """The acceptance rate that warm-up aimed at, where there was a warm-up that aims."""
    if not attrs.get("tuning_steps", 0):
        return None
    try:
        found = json.loads(attrs.get("sampler_settings", "{}")).get("target_accept")
    except (ValueError, AttributeError):  # settings of a generator are text
        return None
    return float(found) if isinstance(found, int | float) else None
