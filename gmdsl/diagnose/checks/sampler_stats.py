"""What the sampler reports of its own moves: divergences, limits, NaN, acceptance, energies.

E-BFMI compares the energy that is redrawn at each step with the spread of energies: below 0.3 a Hamiltonian
chain explores the tails by small steps in energy, however long its trajectories are.

Reference:
    Betancourt, *Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte Carlo*, 2016, arXiv:1604.00695.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from gmdsl.diagnose.report import Finding, percent
from gmdsl.inference.stats import RARE

BFMI = 0.3  # as in ArviZ
LEAST_DRAWS = 100  # draws per chain below which E-BFMI is not looked at
LOW_ACCEPTANCE = 0.3  # of what warm-up aimed at
LIMITS = {  # what kernels of other libraries call the limit
    "BlackJAXKernel": "max_num_doublings of gm.from_blackjax",
    "NumPyroKernel": "max_tree_depth of gm.from_numpyro",
}
FEW = 0.02  # share of divergences that may come of a steep wall alone
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
    status = "note" if count <= RARE * total else "suspect"
    return Finding("divergences", status, evidence, advice)


def without_lone_divergences(found: list[Finding | None]) -> list[Finding | None]:
    """Findings in which a few divergences are a note, where nothing else is wrong and Stein's identity holds.

    A steep wall beside a long tail makes trajectories diverge that come from anywhere. A region that chains cannot
    enter shows in their energies and effective sizes, too.
    """
    named = {finding.name: finding for finding in found if finding is not None}
    lone = [finding for finding in named.values() if finding.status in ("suspect", "failed")]
    if [finding.name for finding in lone] != ["divergences"] or not {"Stein identity", "E-BFMI"} <= named.keys():
        return found
    share = float(lone[0].evidence.split("(")[1].split(" %")[0]) / 100
    if share > FEW or named["Stein identity"].status != "ok":
        return found
    told = f"{lone[0].evidence}; nothing else is wrong, and Stein's identity holds"
    note = Finding("divergences", "note", told, lone[0].advice)
    return [note if finding is lone[0] else finding for finding in found]


def depth(stats: Any, attrs: Mapping[str, Any] | None = None) -> Finding | None:
    """The finding "tree depth".

    Args:
        stats: of the steps.
        attrs: of the draws; kernels of other libraries call the limit by a name of their own.
    """
    if "reached_max_treedepth" not in stats:
        return None
    share = float(stats["reached_max_treedepth"].values.mean())
    if share <= 0.01:
        return Finding("tree depth", "ok", f"{percent(share)} of draws at the limit")
    setting = LIMITS.get((attrs or {}).get("sampler", ""), "max_tree_depth")
    advice = f"Raise {setting}, or use a dense metric."
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
    status = "note" if share <= RARE else "suspect"
    return Finding("NaN evaluations", status, f"{percent(share)} of proposals, all rejected", advice)


def infinite(stats: Any) -> Finding | None:
    """The finding "infinite density": a chain that comes to such a point stays there."""
    if "lp" not in stats:
        return None
    at = np.isposinf(stats["lp"].values)
    if not at.any():
        return None
    evidence = f"the log-density is +inf at {percent(float(at.mean()))} of the draws, in {int(at.any(axis=1).sum())}"
    evidence += f" of {len(at)} chains: all mass is there"
    advice = "A slip of sign? What is forbidden has an energy of +inf, which is a log-density of -inf."
    return Finding("infinite density", "failed", evidence, advice)


def bias(posterior: Any) -> Finding | None:
    """The finding "law of the sampler", where it differs from the target by design."""
    if "bias" not in posterior.attrs:
        return None
    advice = "Compare with half the step size, or correct it: gm.MALA."
    return Finding("law of the sampler", "note", posterior.attrs["bias"], advice)


def noisy_end(posterior: Any) -> Finding | None:
    """The finding "noisy end" of a way back that starts from another law than that of the noised data."""
    if "noisy_end" not in posterior.attrs:
        return None
    advice = "Take more noise (a larger sigma or t_max), centre the data, or give init=, the law at t_max."
    return Finding("noisy end", "suspect", posterior.attrs["noisy_end"], advice)


def energies(stats: Any, attrs: Mapping[str, Any] | None = None) -> Finding | None:
    """The finding "E-BFMI".

    Args:
        stats: of the steps.
        attrs: of the draws; where there are angles, energies depend on the turn of the circle, which is no part of a
            draw, and are not judged.
    """
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
    if "angles" in (attrs or {}):
        return Finding("E-BFMI", "note", f"{worst:.2f}, not judged: the energies contain the turns of angles")
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
