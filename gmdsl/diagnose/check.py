"""`gm.check`: does a run lie? Findings with evidence and the next step, and one status.

It never says that a chain has converged: it says what was examined and what was found. ArviZ's own
numbers are used where it has them (R-hat, ESS); what it lets pass is looked at here first: NaN draws
and chains that never move, which have an ESS of N.

Reference:
    Vehtari et al., *Rank-normalization, folding, and localization: an improved R-hat*, 2021;
    Betancourt, *A conceptual introduction to Hamiltonian Monte Carlo*, 2017 (divergences).
"""

import html
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.model import Model

RHAT = 1.01
ESS_PER_CHAIN = 100
RUNAWAY = 1e10
FEW = 10  # draws per chain below which R-hat and ESS say nothing
ORDER = ("ok", "note", "suspect", "failed")


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        name: which check.
        status: "ok", "note" (worth knowing), "suspect" or "failed".
        evidence: what was measured.
        advice: the next step.
    """

    name: str
    status: str
    evidence: str
    advice: str = ""


@dataclass(frozen=True)
class Report:
    """All findings of a run and its status: "ok", "suspect" or "failed"."""

    findings: tuple[Finding, ...]

    @property
    def status(self) -> str:
        worst = max((ORDER.index(f.status) for f in self.findings), default=0)
        return "ok" if worst <= ORDER.index("note") else ORDER[worst]

    def __getitem__(self, name: str) -> Finding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    def _repr_html_(self) -> str:
        """The report as preformatted text with the status in colour, for notebooks."""
        color = {"ok": "#2a7d2a", "suspect": "#b36b00", "failed": "#b00020"}[self.status]
        first, *rest = html.escape(str(self)).splitlines()
        return f"<pre><b style='color:{color}'>{first}</b>\n{chr(10).join(rest)}</pre>"

    def __str__(self) -> str:
        width = max((len(f.name) for f in self.findings), default=0) + 2
        lines = [f"status: {self.status}"]
        for finding in sorted(self.findings, key=lambda f: -ORDER.index(f.status)):
            lines.append(f"  {finding.name:<{width}}{finding.status:<9}{finding.evidence}")
            if finding.advice:
                lines.append(f"  {'':<{width}}{'':<9}-> {finding.advice}")
        return "\n".join(lines)


def check(tree: Any, model: Model | None = None) -> Report:
    """Examines a run.

    Args:
        tree: the result of `gm.sample`.
        model: the model it came from; more can be examined with it.

    Returns:
        A report; `print` it, or read `.status` and `.findings`.

    Raises:
        SpecError: the tree has no draws and no warm-up.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    >>> tree = gm.sample(bowl, gm.NUTS(), draws=500, warmup=500, progress=False)
    >>> gm.check(tree).status
    'ok'
    """
    del model
    if not hasattr(tree, "children") or not {"posterior", "warmup_posterior"} & set(tree.children):
        raise SpecError("check(...): a tree with draws is needed. Pass the result of gm.sample.")
    if "posterior" not in tree.children or tree["posterior"].sizes["draw"] == 0:
        advice = "Run it again, or give a shorter warmup=."
        return Report((Finding("draws", "failed", "interrupted during warm-up: there are no draws", advice),))
    moving = tree["unconstrained_posterior"] if "unconstrained_posterior" in tree.children else tree["posterior"]
    stats = tree["sample_stats"] if "sample_stats" in tree.children else {}
    findings = [_missing(tree), _nan(tree["posterior"]), _constant(moving), _runaway(moving)]
    if "particles" in tree.children:
        return Report((*(f for f in findings if f is not None), _weights(tree["particles"]["log_weight"].values)))
    findings += [_divergences(stats), _depth(stats), _nan_evaluations(stats), _bias(tree["posterior"])]
    broken = any(f is not None and f.status == "failed" for f in findings)
    findings += [_rhat(moving), *_ess(moving)] if not broken else []
    return Report(tuple(f for f in findings if f is not None))


def _missing(tree: Any) -> Finding | None:
    attrs = tree["posterior"].attrs
    have, asked = tree["posterior"].sizes["draw"], attrs.get("draws_asked")
    if asked is not None and have < asked:
        return Finding("draws", "suspect", f"interrupted: {have} of {asked} draws per chain", "Run it to the end.")
    return None


def _nan(posterior: Any) -> Finding:
    bad = {n: int(np.sum(~np.isfinite(v.values))) for n, v in posterior.data_vars.items() if v.dtype.kind == "f"}
    bad = {name: count for name, count in bad.items() if count}
    if not bad:
        return Finding("finite draws", "ok", "every draw is finite")
    listed = ", ".join(f"{name}: {count}" for name, count in bad.items())
    advice = "Look for overflow or 0/0 in the model where these variables go; try jax_enable_x64."
    return Finding("finite draws", "failed", f"draws that are NaN or infinite: {listed}", advice)


def _constant(moving: Any) -> Finding:
    stuck = []
    for name, variable in moving.data_vars.items():
        draws = _flat(variable)
        if draws.shape[1] > 1 and (still := (draws == draws[:, :1]).all(axis=1)).any():
            stuck.append(f"{name} in {int(still.any(axis=1).sum())} of {draws.shape[0]} chains")
    if not stuck:
        return Finding("moving chains", "ok", "every chain moves")
    advice = "The sampler rejects everything there: lower step_size, give it more warm-up, or start elsewhere (init=)."
    return Finding("moving chains", "failed", f"constant: {'; '.join(stuck)}", advice)


def _runaway(moving: Any) -> Finding | None:
    far = [n for n, v in moving.data_vars.items() if np.nanmax(np.abs(v.values), initial=0.0) > RUNAWAY]
    if not far:
        return None
    advice = "The density may be improper: add a prior, or a term that grows along every direction."
    return Finding("bounded draws", "failed", f"{', '.join(far)} runs away beyond {RUNAWAY:.0e}", advice)


def _divergences(stats: Any) -> Finding | None:
    if "diverging" not in stats:
        return None
    diverging = stats["diverging"].values
    count, total = int(diverging.sum()), diverging.size
    if count == 0:
        return Finding("divergences", "ok", f"0 of {total} draws")
    chains = int((diverging.sum(axis=1) > 0).sum())
    advice = "Reparametrise (a non-centred form), or raise target_accept towards 0.99."
    evidence = f"{count} of {total} draws ({_percent(count / total)}) in {chains} chains"
    return Finding("divergences", "suspect", evidence, advice)


def _depth(stats: Any) -> Finding | None:
    if "reached_max_treedepth" not in stats:
        return None
    share = float(stats["reached_max_treedepth"].values.mean())
    if share <= 0.01:
        return Finding("tree depth", "ok", f"{_percent(share)} of draws at the limit")
    advice = "Raise max_tree_depth, or use a dense metric."
    return Finding("tree depth", "suspect", f"{_percent(share)} of draws at the limit: slow, not wrong", advice)


def _nan_evaluations(stats: Any) -> Finding | None:
    if "nan_evaluations" not in stats:
        return None
    share = float(np.mean(stats["nan_evaluations"].values))
    if share == 0:
        return Finding("NaN evaluations", "ok", "the log-density was never NaN")
    advice = "The target is cut there. Guard the term that gives NaN, or declare the support."
    return Finding("NaN evaluations", "suspect", f"{_percent(share)} of proposals, all rejected", advice)


def _bias(posterior: Any) -> Finding | None:
    if "bias" not in posterior.attrs:
        return None
    advice = "Compare with half the step size, or correct it: gm.MALA."
    return Finding("law of the sampler", "note", posterior.attrs["bias"], advice)


def _weights(log_weight: np.ndarray) -> Finding:
    """Draws that were resampled from weighted particles are as good as the weights, whatever R-hat says."""
    weight = np.exp(log_weight - log_weight.max())
    size, total = float(weight.sum() ** 2 / (weight**2).sum()), weight.size
    evidence = f"{size:.0f} of {total} particles count"
    if size >= max(100, 0.05 * total):
        return Finding("weights", "ok", evidence)
    return Finding("weights", "suspect", evidence, "Take more temperatures, longer moves, or a closer reference.")


def _rhat(moving: Any) -> Finding:
    import arviz_stats

    if moving.sizes["draw"] < FEW:
        return Finding("R-hat", "note", f"not examined: {moving.sizes['draw']} draws", "Run more draws.")
    if moving.sizes["chain"] < 2:
        return Finding("R-hat", "note", "not examined: one chain", "Run at least four chains.")
    name, worst = _extreme(arviz_stats.rhat(moving.to_dataset()), np.nanmax)
    if worst <= RHAT:
        return Finding("R-hat", "ok", f"at most {worst:.4f} ({name})")
    advice = "The chains disagree: run longer, or look for several modes (az.plot_rank)."
    return Finding("R-hat", "suspect", f"{worst:.4f} for {name}, above {RHAT}", advice)


def _ess(moving: Any) -> list[Finding]:
    import arviz_stats

    if moving.sizes["draw"] < FEW:
        return [Finding("ESS", "suspect", f"{moving.sizes['draw']} draws are too few to judge by", "Run more draws.")]
    findings = []
    needed = ESS_PER_CHAIN * moving.sizes["chain"]
    for method in ("bulk", "tail"):
        name, worst = _extreme(arviz_stats.ess(moving.to_dataset(), method=method), np.nanmin)
        enough = worst >= needed
        advice = "" if enough else "Run more draws, or a sampler that mixes faster."
        evidence = f"at least {worst:.0f} ({name})" if enough else f"{worst:.0f} for {name}, below {needed}"
        findings.append(Finding(f"ESS {method}", "ok" if enough else "suspect", evidence, advice))
    return findings


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _extreme(values: Any, pick: Any) -> tuple[str, float]:
    numbers = {name: float(pick(variable.values)) for name, variable in values.data_vars.items()}
    best = pick(list(numbers.values()))
    name = next((n for n, v in numbers.items() if v == best), "")
    return name, float(best)


def _flat(variable: Any) -> np.ndarray:
    """Draws as (chain, draw, element)."""
    values = variable.transpose("chain", "draw", ...).values
    return values.reshape(*values.shape[:2], -1)
