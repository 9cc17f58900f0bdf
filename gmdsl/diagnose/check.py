"""`gm.check`: does a run lie? Findings with evidence and the next step, and one status.

It never says that a chain has converged: it says what was examined, what was found, and why something could not
be examined. The draws alone tell of NaN, stuck chains, growth and disagreement; the statistics of the sampler of
divergences and rejections. The model adds Stein's identity, a test of the gradient and a look along lines that lead
away; a reference adds the search for modes that no chain has seen, and a joint density that is conditioned on data
brings its own, the prior. One idea per file: `draws`, `sampler_stats`,
`drift`, `weights`, `stein`, `gradient`, `modes`.

Reference:
    Vehtari et al., *Rank-normalization, folding, and localization: an improved R-hat*, 2021;
    Betancourt, *A conceptual introduction to Hamiltonian Monte Carlo*, 2017 (divergences).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.diagnose.checks import draws, sampler_stats
from gmdsl.diagnose.checks.approximation import approximation
from gmdsl.diagnose.checks.by_arviz import by_arviz
from gmdsl.diagnose.checks.contrast import contrast
from gmdsl.diagnose.checks.descent import slope
from gmdsl.diagnose.checks.drift import drift
from gmdsl.diagnose.checks.exchange import exchange
from gmdsl.diagnose.checks.gradient import gradient
from gmdsl.diagnose.checks.guide import guide
from gmdsl.diagnose.checks.learning import learning
from gmdsl.diagnose.checks.local_rhat import local_rhat
from gmdsl.diagnose.checks.modes import modes
from gmdsl.diagnose.checks.reverse import reverse_checks
from gmdsl.diagnose.checks.stein import stein
from gmdsl.diagnose.checks.weights import constants_of, weights_of
from gmdsl.diagnose.examined import Examined, without_density
from gmdsl.diagnose.labels import Labels, labels_of
from gmdsl.diagnose.lint_rules.improper import improper
from gmdsl.diagnose.lint_rules.masked import masked_elements
from gmdsl.diagnose.lint_rules.observations import observations
from gmdsl.diagnose.lint_rules.precision import precision_at
from gmdsl.diagnose.positions import positions
from gmdsl.diagnose.probed import probed, several_probed
from gmdsl.diagnose.report import ORDER, Finding, Report, report
from gmdsl.diffusion.noised import Noised
from gmdsl.inference.path import Path
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model
from gmdsl.results.agreement import Agreement
from gmdsl.results.arguments import tree_and_model
from gmdsl.results.estimate import LogZ
from gmdsl.run.training import Fit
from gmdsl.spaces.elementwise import Positive
from gmdsl.spaces.space import Real

CHECKS: tuple[Callable[[Examined], Finding | None], ...] = (  # of chains, whatever their model
    lambda run: sampler_stats.divergences(run.stats),
    lambda run: sampler_stats.depth(run.stats, run.posterior.attrs),
    lambda run: sampler_stats.nan_evaluations(run.stats),
    lambda run: sampler_stats.infinite(run.stats),
    lambda run: sampler_stats.acceptance(run.stats, run.posterior.attrs),
    lambda run: sampler_stats.energies(run.stats, run.posterior.attrs),
    lambda run: sampler_stats.bias(run.posterior),
    lambda run: sampler_stats.noisy_end(run.posterior),
)


def check(
    tree: Any,
    model: Model | Path | Noised | None = None,
    reference: Model | None = None,
    *,
    checks: Sequence[Callable[[Examined], Any]] = (),
) -> Report:
    """Examines a run.

    Args:
        tree: the result of `gm.sample`, of `gm.log_z`, or of `gm.fit`.
        model: the model it came from (or the path): adds Stein's identity and a test of the gradient.
        reference: a normalised, drawable model of the same variables that covers the target: adds the
            search for modes that no chain has seen. A path brings its own, and so does a joint density that is
            conditioned on data, its prior.
        checks: checks of your own; functions of a `gmdsl.diagnose.examined.Examined` that return a
            `gmdsl.diagnose.report.Finding`, or None where they have nothing to say.

    Returns:
        A report; `print` it, or read `.status` and `.findings`.

    Raises:
        SpecError: the tree has no draws and no warm-up, the model has other variables, or a check of your own
            returned something else.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    >>> tree = gm.sample(bowl, gm.NUTS(), draws=500, warmup=500, progress=False)
    >>> report = gm.check(tree, bowl, reference=gm.joint(x=dist.Normal(0, 3).expand([2])))
    >>> report.status, report["Stein identity"].status, report["mode audit"].status
    ('ok', 'ok', 'ok')
    """
    if isinstance(tree, Fit):
        if checks:
            raise SpecError("check(checks=...): they read draws, and a fit has none. Leave them out.")
        return report([*learning(tree), slope(tree), guide(tree), contrast(tree)])
    tree, model = tree_and_model(tree, model)
    if isinstance(tree, LogZ | Agreement):
        return report(constants_of(tree))
    if not hasattr(tree, "children") or not {"posterior", "warmup_posterior"} & set(tree.children):
        raise SpecError("check(...): a tree with draws is needed. Pass the result of gm.sample.")
    if "posterior" not in tree.children or tree["posterior"].sizes["draw"] == 0:
        advice = "Run it again, or give a shorter warmup=."
        return report([Finding("draws", "failed", "interrupted during warm-up: there are no draws", advice)])
    run = Examined(tree)
    moving, labels = run.moving, labels_of(tree, model)
    found = [draws.missing(tree), draws.finite(tree["posterior"]), drift(tree, moving)]
    found.append(draws.constant(tree, moving, labels.certain))
    if "approximation" in tree.children:
        found += approximation(tree)
    elif "particles" in tree.children:
        found += [weights_of(tree), sampler_stats.bias(tree["posterior"])]
    else:
        found += [*_chains(run, broken=_is_broken(found)), exchange(tree)]
    found.append(_masked(tree))
    found += [*_with_model(tree, moving, model, reference, labels, broken=_is_broken(found))]
    found = list(sampler_stats.without_lone_divergences(found))
    return report([*found, *(_own(look, run) for look in checks)])


def _own(look: Callable[[Examined], Any], run: Examined) -> Finding | None:
    """What a check of the user finds, which is a note where it raises."""
    name = getattr(look, "__name__", type(look).__name__)
    try:
        found = look(run)
    except Exception as error:  # whatever the user's own code does
        told = f"it raised {type(error).__name__}: {error}"
        return _not_examined(name, told, "Mend the check; the others are not concerned.")
    if not isinstance(found, Finding | None) or (found is not None and found.status not in ORDER):
        what = f"a Finding of status {found.status!r}" if isinstance(found, Finding) else type(found).__name__
        raise SpecError(
            f"check(checks=...): {name} returned {what}. Return a gmdsl.diagnose.report.Finding with the status"
            f" {', '.join(ORDER)}, or None."
        )
    return found


def _masked(tree: Any) -> Finding | None:
    """The finding "masked elements", where the run has noted some."""
    gone, posterior = without_density(tree), tree["posterior"]
    if not gone:
        return None
    group = tree["unconstrained_posterior"] if "unconstrained_posterior" in tree.children else posterior
    shapes = {name: tuple(group[name].transpose("chain", "draw", ...).shape[2:]) for name in gone}
    return masked_elements(gone, shapes, [str(name) for name in posterior.data_vars])


def _chains(run: Examined, *, broken: bool) -> list[Finding | None]:
    """What the statistics of the sampler and the agreement of the chains tell."""
    found = [look(run) for look in CHECKS]
    if broken:
        return found
    ranked = run.ranked
    found += [draws.enough(run.moving), draws.rhat(ranked), local_rhat(ranked), *draws.sizes(ranked)]
    return [*found, by_arviz(run.tree)] if run.moving.sizes["draw"] >= draws.FEW else found


def _with_model(
    tree: Any, moving: Any, model: Any, reference: Any, labels: Labels, *, broken: bool
) -> list[Finding | None]:
    """What only the model can tell."""
    if model is None:
        return [_not_examined("Stein identity", "no model was given", "Pass the model: gm.check(tree, model).")]
    if isinstance(model, Path):
        model, reference = model.target, model.reference if reference is None else reference
    if isinstance(model, Noised):
        return (
            [_not_examined("Stein identity", "the draws are broken", "")] if broken else [*reverse_checks(tree, model)]
        )
    if not isinstance(model, Model):
        raise SpecError(f"check(tree, model): a model is needed second, not {mistaken(model)}.")
    density = Density(model)
    said = [found for found in (observations(model),) if found.status != "ok"]
    return [*said, *_with_density(tree, moving, model, density, reference, labels, broken=broken)]


def _with_density(
    tree: Any, moving: Any, model: Model, density: Density, reference: Any, labels: Labels, *, broken: bool
) -> list[Finding | None]:
    """What the density can tell."""
    if any(density.spaces[name].discrete for name in density.free):
        skipped = _not_examined("Stein identity", "a variable is discrete", "Sum it out: model.marginalize(...).")
        return [labels.finding, skipped]
    at, proper = positions(tree, density), probed("proper density", lambda: improper(model))
    if broken or proper.status == "failed":
        return [proper, _not_examined("Stein identity", "the draws are broken, or there is no density", "")]
    if moving.sizes["draw"] < draws.FEW:
        return [_not_examined("Stein identity", f"{moving.sizes['draw']} draws", "Run more draws.")]
    if not np.isfinite(at.x).all():
        return [_not_examined("Stein identity", "draws lie on the border of the support", "Try jax_enable_x64.")]
    return [
        proper,
        probed("single precision", lambda: precision_at(model, at.x.reshape(-1, at.x.shape[-1]), _lp(tree, density))),
        *several_probed("Stein identity", lambda: stein(density, at)),
        probed("gradient", lambda: gradient(model, at)),
        probed("mode audit", lambda: modes(model, reference, at)),
    ]


def _lp(tree: Any, density: Density) -> Any:
    """The log-densities that the sampler had at its draws; None where these cannot be told from the draws exactly."""
    exact = all(isinstance(density.spaces[name], Real | Positive) for name in density.free)
    if "particles" in tree.children or not (exact or "unconstrained_posterior" in tree.children):
        return None
    stats = tree["sample_stats"] if "sample_stats" in tree.children else {}
    return stats["lp"].transpose("chain", "draw").values.ravel().astype(float) if "lp" in stats else None


def _not_examined(name: str, why: str, advice: str) -> Finding:
    return Finding(name, "note", f"not examined: {why}", advice)


def _is_broken(found: list[Finding | None]) -> bool:
    return any(finding is not None and finding.status == "failed" for finding in found)
