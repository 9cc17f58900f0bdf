r"""What the draws alone tell: finite, moving, enough, and alike in every chain.

R-hat and effective sizes are ArviZ's. Two things are added. A chain that never moves has an effective size of N
and no R-hat, so it is looked for first. And R-hat itself is an estimate: with M half-chains and n effective draws
in all of them, chance alone gives $\hat R \approx 1 + \frac{M}{2 n} \frac{\chi^2_{M-1}}{M-1}$, which passes 1.01 on
perfect chains while n is a few hundred. Above 1.01 and within what chance gives it is a note.

Reference:
    Vehtari et al., *Rank-normalization, folding, and localization: an improved R-hat*, 2021.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from gmdsl.diagnose.examined import is_discrete
from gmdsl.diagnose.packed import of_each
from gmdsl.diagnose.report import Finding

RHAT = 1.01
CLEAR = 1.05  # R-hat above which too few draws are no excuse
ESS_PER_CHAIN = 100  # effective draws for an estimate of R-hat that can be relied on, by Vehtari et al.
ENOUGH = 400  # effective draws of all chains together, where each has few draws
EFFICIENCY = 0.1  # effective draws per draw of a run that mixes and is only short
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


def constant(tree: Any, moving: Any, certain: Mapping[str, np.ndarray] | None = None) -> Finding:
    """The finding "moving chains". An element of a discrete variable may stay where its law is all but certain.

    Args:
        tree: the result of `gm.sample`.
        moving: its draws in the coordinates that the sampler moved.
        certain: for discrete variables, whether the model lets an element of a chain keep its value, (chain, element).
    """
    stuck, still_discrete = [], []
    for name, variable in moving.data_vars.items():
        draws = by_element(variable)
        still = (draws == draws[:, :1]).all(axis=1)
        if draws.shape[1] < 2 or not still.any():
            continue
        excused = np.zeros_like(still)
        if is_discrete(tree["posterior"], name):
            excused = certain[name] if certain and name in certain else _seldom(draws, still)
            excused = excused & _agree(draws, still)
        if (still & ~excused).any():
            stuck.append(f"{name} in {int((still & ~excused).any(axis=1).sum())} of {draws.shape[0]} chains")
        elif (together := still.all(axis=0)).any():
            still_discrete.append(f"{name}: {int(together.sum())} of {together.size} elements")
    if stuck:
        advice = "The sampler rejects everything there: lower step_size, more warm-up, or start elsewhere (init=)."
        return Finding("moving chains", "failed", f"constant: {'; '.join(stuck)}", advice)
    if still_discrete:
        told = f"one value in every chain, {'; '.join(still_discrete)}"
        if certain:
            return Finding("moving chains", "note", told, "The model gives the other values next to nothing there.")
        return Finding("moving chains", "note", told, "Their law may be all but certain; other starts would tell.")
    return Finding("moving chains", "ok", "every chain moves")


def _agree(draws: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Whether all chains in which an element stands still have it at one value; (1, element)."""
    first = draws[:, 0]
    low = np.where(still, first, np.inf).min(axis=0)
    return (~still | (first == low)).all(axis=0)[None]


def _seldom(draws: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Whether an element moves so seldom in the other chains that chance may let it stand still in one; (1, element).

    An element that moves in no chain may be certain, unless all elements stand still.
    """
    if still.all():
        return np.zeros((1, still.shape[1]), bool)
    moves = (draws[:, 1:] != draws[:, :-1]).sum(axis=(0, 1)) / 2.0
    others = np.maximum((~still).sum(axis=0), 1)
    return (still.all(axis=0) | (np.exp(-moves / others) > LEVEL / still.size))[None]


def enough(moving: Any) -> Finding | None:
    """The finding "ESS", where there are too few draws for anything else."""
    if moving.sizes["draw"] >= FEW:
        return None
    return Finding("ESS", "suspect", f"{moving.sizes['draw']} draws are too few to judge by", "Run more draws.")


@np.errstate(all="ignore")  # two values, each in half of the draws, have one distance from their median
def rhat(moving: Any) -> Finding:
    """The finding "R-hat"."""
    import arviz_stats
    from scipy.stats import chi2

    if moving.sizes["draw"] < FEW:
        return Finding("R-hat", "note", f"not examined: {moving.sizes['draw']} draws", "Run more draws.")
    if moving.sizes["chain"] < 2:
        return Finding("R-hat", "note", "not examined: one chain", "Run at least four chains.")
    if not len(moving.data_vars):
        return Finding("R-hat", "note", "not examined: every element is all but certain")
    name, worst = extreme(of_each(arviz_stats.rhat, moving.to_dataset()), np.nanmax)
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


@np.errstate(all="ignore")
def sizes(moving: Any) -> list[Finding]:
    """The findings "ESS bulk" and "ESS tail"."""
    import arviz_stats

    if moving.sizes["draw"] < FEW:
        return []
    findings, data = [], moving.to_dataset()
    chains, draws = moving.sizes["chain"], moving.sizes["draw"]
    wanted, needed = ESS_PER_CHAIN * chains, least_size(chains, draws)
    for method in ("bulk", "tail"):
        if not len(moving.data_vars):
            findings.append(Finding(f"ESS {method}", "note", "not examined: every element is all but certain"))
            continue
        found = of_each(functools.partial(arviz_stats.ess, method=method), data)
        name, worst = extreme(found, np.nanmin)
        if worst >= wanted:
            findings.append(Finding(f"ESS {method}", "ok", f"at least {worst:.0f} ({name})"))
        elif worst >= needed:
            told = f"{worst:.0f} for {name} of {chains * draws} draws: they mix well and are few, below {wanted}"
            findings.append(Finding(f"ESS {method}", "note", told, "Run more draws for exact means and quantiles."))
        else:
            told = f"{worst:.0f} for {name}, below {needed:.0f}"
            findings.append(
                Finding(f"ESS {method}", "suspect", told, "Run more draws, or a sampler that mixes faster.")
            )
    return findings


def least_size(chains: int, draws: int) -> float:
    """The effective size below which a run is suspect: a hundred per chain, and less for a short run that mixes.

    From a hundred draws per chain on, one in ten is enough, and never fewer than ten per chain. Shorter chains cannot
    have a hundred each, however well they mix; many of them are judged together.

    >>> [least_size(4, draws) for draws in (80, 100, 500, 1000, 5000)], least_size(200, 50)
    ([400.0, 40.0, 200.0, 400.0, 400.0], 400.0)
    """
    if draws < ESS_PER_CHAIN:
        return float(min(ESS_PER_CHAIN * chains, ENOUGH))
    return float(min(ESS_PER_CHAIN * chains, EFFICIENCY * chains * draws))


def extreme(values: Mapping[str, np.ndarray], pick: Any) -> tuple[str, float]:
    """The variable with the largest or smallest number, and that number."""
    numbers = {name: float(pick(found)) for name, found in values.items()}
    best = pick(list(numbers.values()))
    name = next((n for n, v in numbers.items() if v == best), "")
    return name, float(best)


def by_element(variable: Any) -> np.ndarray:
    """Draws as (chain, draw, element)."""
    values = variable.transpose("chain", "draw", ...).values
    return values.reshape(*values.shape[:2], -1)
