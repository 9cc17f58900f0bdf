"""`gm.log_likelihood`: pointwise at the draws of a tree, of rows, or by the probability flow of a noised family."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_target import FlatTarget, over_points
from gmdsl.core.errors import SpecError
from gmdsl.core.settings import checked_settings
from gmdsl.diffusion.flow_likelihood import flow_log_likelihood
from gmdsl.diffusion.noised import Noised
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factors.weighted import Weighted
from gmdsl.models.model import Model
from gmdsl.results.arguments import is_tree, tree_and_model
from gmdsl.results.tree import as_tree, attributes
from gmdsl.run.predictive.gaps import without_gaps
from gmdsl.run.predictive.points import posterior_points, with_group
from gmdsl.run.predictive.row_likelihood import row_log_likelihood


@checked_settings
def log_likelihood(
    model: Model | Noised,
    data: Any,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    prior: Model | None = None,
    probes: int | None = None,
    seed: int = 0,
) -> Any:
    r"""The log-likelihood of observations at the draws of a tree, or of rows under a fitted model or a noised family.

    Of a model: each observation at each draw, for `az.loo` and `az.compare`. Batch dimensions of a distribution are
    independent observations and stay apart. What is observed without a conditional of its own (in an energy), or
    weighted, is listed in the attribute `skipped`.

    Of a variable with missing values only the observed elements are there, along one dimension `y_observed`: its
    labels are their places in the flattened array, and the coordinates `y_<dimension>` those along each axis.

    Of a model and a dict of rows: $\log p(y_i | x_i)$ of free variables given the inputs, NaN integrated out, at the
    parameters that the model has, as after `gm.fit`. A value without a leading axis stands for all rows.

    Of a noised family: the log-density of each datum by the probability flow, in nats; that of what `gm.ReverseODE`
    draws. For a learned family with no noise at t = 0 it is that of the data noised to `process.t_min`.

    Args:
        model: the conditioned model, a fitted model, or a noised family.
        data: the result of `gm.sample` on the model; or a dict of one datum, or of one per row, inputs included (for a
            family of one variable an array).
        rtol: relative tolerance of the flow per step.
        atol: absolute tolerance, in the units of the data. Below 1e-6 wants x64.
        prior: the law at the noisy end, as `family.at(t_max)`. When None, the Gaussian of the process; a warning says
            where the law at the end is far from it.
        probes: random directions for an estimate of the trace of the Jacobian (Hutchinson), in high dimensions; None
            computes it exactly, one derivative per dimension.
        seed: for the probes.

    Returns:
        A new tree with the group `log_likelihood` added; for rows and for a family an array, one number per datum.

    Raises:
        SpecError: nothing observed has a conditional; no normalised density of rows; other shapes; a flow that is lost.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> round(float(gm.log_likelihood(gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.VP()), 1.0)), 3)
    -1.419
    >>> line = gm.joint(x=gm.input(gm.Real()), y=lambda x: dist.Normal(2.0 * x, 1.0))
    >>> print(gm.log_likelihood(line, {"x": [0.0, 1.0], "y": [0.0, 4.0]}).round(3))
    [-0.919 -2.919]
    """
    data, model = tree_and_model(data, model)
    if isinstance(model, Noised):
        return flow_log_likelihood(model, data, rtol=rtol, atol=atol, prior=prior, probes=probes, seed=seed)
    if isinstance(model, Model) and isinstance(data, Mapping) and not is_tree(data):
        return row_log_likelihood(model, data)
    if not is_tree(data) or not isinstance(model, Model):
        raise SpecError(
            f"log_likelihood(...): a model and a tree are needed, not {type(model).__name__} and {type(data).__name__}."
            " Pass the model and the result of gm.sample on it, or a dict of rows under a fitted model."
        )
    return _of_draws(model, data)


def _of_draws(model: Model, tree: Any) -> Any:
    """The tree with the pointwise log-likelihood at each of its draws."""
    density = Density(model)
    scored = [c for f in model.factors if isinstance(f, Conditional) for c in f.children if c in model.observed]
    free, shape = posterior_points("log_likelihood", tree, model)
    values = over_points(_pointwise, density.target, free)
    weighted = [c for f in model.factors if isinstance(f, Weighted) for c in f.children]
    skipped = [name for name in model.observed if scored.count(name) != 1 or name not in values]
    if len(skipped) == len(model.observed):
        why = f"{weighted[0]} is weighted" if weighted else "no observed variable has a conditional of its own"
        fix = "Leave .weight out" if weighted else "Condition a joint first"
        raise SpecError(f"log_likelihood(...): {why}. {fix}.")
    kept = {n: np.asarray(v).reshape(*shape, *v.shape[1:]) for n, v in values.items() if n not in skipped}
    listed = [f"{name} (weighted)" if name in weighted else name for name in skipped]
    attrs = {**attributes(), "skipped": ", ".join(listed)}
    model, kept, labels = without_gaps(model, kept)
    scores = as_tree(model, {"log_likelihood": kept}, attrs)
    scores["log_likelihood"] = scores["log_likelihood"].to_dataset().assign_coords(labels)
    return with_group(tree, "log_likelihood", scores)


def _pointwise(target: FlatTarget, values: Any) -> Any:
    """The terms of the observed variables at one draw."""
    model, have, found = target.model, target.completed(values), {}
    for factor in model.factors:
        if not isinstance(factor, Conditional) or isinstance(factor, Weighted):
            continue
        if set(factor.children) & set(model.observed):
            found |= {n: v for n, v in factor.pointwise(have).items() if n in model.observed}
    weighted = {c for f in model.factors if isinstance(f, Weighted) for c in f.children}
    return {name: value for name, value in found.items() if name not in weighted}
