r"""What the draws alone tell: finite, moving, enough, and alike in every chain.

R-hat and effective sizes are ArviZ's. Two things are added. A chain that never moves has an effective size of N
and no R-hat, so it is looked for first. And R-hat itself is an estimate: with M half-chains and n effective draws
in all of them, chance alone gives $\hat R \approx 1 + \frac{M}{2 n} \frac{\chi^2_{M-1}}{M-1}$, which passes 1.01 on
perfect chains while n is a few hundred. Above 1.01 and within what chance gives it is a note.

Reference:
    Vehtari et al., *Rank-normalization, folding, and localization: an improved R-hat*, 2021.
"""

from typing import Any

import numpy as np

from gmdsl.diagnose.report import Finding

RHAT = 1.01
CLEAR = 1.05  # R-hat above which too few draws are no excuse
ESS_PER_CHAIN = 100
FEW = 10  # draws per chain below which R-hat and ESS say nothing
LEVEL = 0.001  # chance that the largest R-hat of chains that agree is called suspect


def missing(tree: Any) -> Finding | None:
    """The finding "draws", where a run was cut."""
    attrs = tree["posterior"].attrs
    have, asked = tree["posterior"].sizes["draw"], attrs.get("draws_asked")
    if asked is not None and have < asked:
        return Finding("draws", "suspect", f"interrupted: {have} of {asked} draws per chain", "Run it to the end.")
    return None


def finite(posterior: Any) -> Finding:
    """The finding "finite draws"."""
    bad = {n: int(np.sum(~np.isfinite(v.values))) for n, v in posterior.data_vars.items() if v.dtype.kind == "f"}
    bad = {name: count for name, count in bad.items() if count}
    if not bad:
        return Finding("finite draws", "ok", "every draw is finite")
    counts = ", ".join(f"{name}: {count}" for name, count in bad.items())
    advice = "Look for overflow or 0/0 in the model where these variables go; try jax_enable_x64."
    return Finding("finite draws", "failed", f"draws that are NaN or infinite: {counts}", advice)


def constant(tree: Any, moving: Any) -> Finding:
    """The finding "moving chains". An element of a discrete variable may stay where its law is all but certain."""
    stuck, still_discrete = [], []
    for name, variable in moving.data_vars.items():
        draws = by_element(variable)
        still = (draws == draws[:, :1]).all(axis=1)
        if draws.shape[1] < 2 or not still.any():
            continue
        discrete = name in tree["posterior"] and tree["posterior"][name].dtype.kind in "biu"
        together = still.all(axis=0) & (draws[:, 0] == draws[:1, 0]).all(axis=0)
        if discrete and not (still & ~together).any() and not together.all():
            still_discrete.append(f"{name}: {int(together.sum())} of {together.size} elements")
        else:
            stuck.append(f"{name} in {int(still.any(axis=1).sum())} of {draws.shape[0]} chains")
    if stuck:
        advice = "The sampler rejects everything there: lower step_size, more warm-up, or start elsewhere (init=)."
        return Finding("moving chains", "failed", f"constant: {'; '.join(stuck)}", advice)
    if still_discrete:
        told = f"one value in every chain, {'; '.join(still_discrete)}"
        return Finding("moving chains", "note", told, "Their law may be all but certain; other starts would tell.")
    return Finding("moving chains", "ok", "every chain moves")


def enough(moving: Any) -> Finding | None:
    """The finding "ESS", where there are too few draws for anything else."""
    if moving.sizes["draw"] >= FEW:
        return None
    return Finding("ESS", "suspect", f"{moving.sizes['draw']} draws are too few to judge by", "Run more draws.")


def rhat(moving: Any) -> Finding:
    """The finding "R-hat"."""
    import arviz_stats
    from scipy.stats import chi2

    if moving.sizes["draw"] < FEW:
        return Finding("R-hat", "note", f"not examined: {moving.sizes['draw']} draws", "Run more draws.")
    if moving.sizes["chain"] < 2:
        return Finding("R-hat", "note", "not examined: one chain", "Run at least four chains.")
    name, worst = extreme(arviz_stats.rhat(moving.to_dataset()), np.nanmax)
    if worst <= RHAT:
        return Finding("R-hat", "ok", f"at most {worst:.4f} ({name})")
    halves, count = 2 * moving.sizes["chain"], sum(by_element(v).shape[2] for v in moving.data_vars.values())
    chance = chi2.isf(LEVEL / (2 * count), halves - 1) / (halves - 1)
    size = _within(moving, name, worst)
    limit = min(max(RHAT, 1.0 + halves / (2.0 * size) * chance), CLEAR)
    if worst <= limit:
        evidence = f"{worst:.4f} for {name}; chance alone gives up to {limit:.3f} for {size:.0f} effective draws"
        return Finding("R-hat", "note", evidence, "Run more draws to tell.")
    advice = "The chains disagree: run longer, or look for several modes (az.plot_rank)."
    return Finding("R-hat", "suspect", f"{worst:.4f} for {name}, above {RHAT}", advice)


def _within(moving: Any, name: str, worst: float) -> float:
    """Effective draws inside the chains, of the worst element of a variable, or of its distance from the median."""
    import arviz_stats
    from arviz_stats.base import array_stats

    each = np.ravel(arviz_stats.rhat(moving[name]).values)
    draws = by_element(moving[name])[..., int(np.argmin(np.abs(each - worst)))]
    away = np.abs(draws - np.median(draws))
    sizes = [sum(float(array_stats.ess(chain, chain_axis=None)) for chain in kind) for kind in (draws, away)]
    return max(float(np.nanmin(sizes)), 1.0)


def sizes(moving: Any) -> list[Finding]:
    """The findings "ESS bulk" and "ESS tail"."""
    import arviz_stats

    if moving.sizes["draw"] < FEW:
        return []
    findings = []
    needed = ESS_PER_CHAIN * moving.sizes["chain"]
    for method in ("bulk", "tail"):
        name, worst = extreme(arviz_stats.ess(moving.to_dataset(), method=method), np.nanmin)
        good = worst >= needed
        advice = "" if good else "Run more draws, or a sampler that mixes faster."
        evidence = f"at least {worst:.0f} ({name})" if good else f"{worst:.0f} for {name}, below {needed}"
        findings.append(Finding(f"ESS {method}", "ok" if good else "suspect", evidence, advice))
    return findings


def extreme(values: Any, pick: Any) -> tuple[str, float]:
    """The variable with the largest or smallest number, and that number."""
    numbers = {name: float(pick(variable.values)) for name, variable in values.data_vars.items()}
    best = pick(list(numbers.values()))
    name = next((n for n, v in numbers.items() if v == best), "")
    return name, float(best)


def by_element(variable: Any) -> np.ndarray:
    """Draws as (chain, draw, element)."""
    values = variable.transpose("chain", "draw", ...).values
    return values.reshape(*values.shape[:2], -1)
