"""Prior and posterior predictive draws.

They follow the conditionals of a model; an energy has no draws of its own, and a model whose
observed variable sits in an energy says so instead of ignoring the term.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.flat_target import Interned
from gmdsl.core.errors import SpecError
from gmdsl.core.random.keys import seed_key
from gmdsl.core.settings import checked_settings
from gmdsl.graph.ancestral import check_domains
from gmdsl.models.model import Model
from gmdsl.results.arguments import is_tree, tree_and_model
from gmdsl.results.tree import as_tree, attributes, constants
from gmdsl.run.predictive.new_rows import predictions
from gmdsl.run.predictive.points import check_drawn, completed, posterior_points, refuse_energies, with_group


@checked_settings
def sample_prior(model: Model, *, draws: int = 1000, seed: int = 0) -> Any:
    """Draws from the joint density before anything is observed.

    Args:
        model: a directed model; what it observes goes to `prior_predictive`, the rest to `prior`.
        draws: how many, in one chain.
        seed: the same seed gives the same draws.

    Returns:
        A tree with the groups `prior`, `prior_predictive`, `observed_data`, `constant_data`.

    Raises:
        SpecError: the model has an energy or an improper prior, and cannot be drawn from.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> model = gm.joint(mu=dist.Normal(0, 1), y=lambda mu: dist.Normal(mu, 1)).condition(y=0.3)
    >>> sorted(gm.sample_prior(model, draws=10).children)
    ['observed_data', 'prior', 'prior_predictive']
    """
    refuse_energies("sample_prior", model, model.random)
    offer = dataclasses.replace(model, observed={}).capabilities()
    if not offer.drawable:
        raise SpecError(f"sample_prior(...): {offer.reasons['drawable']}.")
    keys = jax.random.split(seed_key("sample_prior", seed), draws)
    values = completed(Interned.of(model), tuple(model.observed), keys, {}, False)
    check_domains("sample_prior(...)", model, values, 1)
    values = {name: np.asarray(value)[None] for name, value in values.items()}
    prior = {name: values[name] for name, _ in model.declared if name not in model.observed}
    predictive = {name: values[name] for name in model.observed}
    groups = {"prior": prior, "prior_predictive": predictive, **constants(model)}
    return as_tree(model, groups, {**attributes(), "seed": seed})


@checked_settings
def predict(
    tree: Any,
    model: Model,
    *,
    data: Mapping[str, Any] | None = None,
    coords: Mapping[str, Any] | None = None,
    resample: Sequence[str] = (),
    extend: Sequence[str] = (),
    seed: int = 0,
) -> Any:
    """Adds posterior predictive draws to a tree: each observed variable drawn anew given each draw.

    Without `data` the draws are replicates of what was observed, `posterior_predictive`; where an observation was
    missing, imputations, drawn given the rest of its vector.

    With `data` the model is declared anew on other rows, of any number, and observed variables are drawn there,
    `predictions`; what is computed from the new rows is added. Elements that depend on those at the old rows, of a
    multivariate normal with one element per row or of a path of `gm.scan`, are drawn given the old ones, gaps in a path
    first; new rows of a path are later times. So are labels that were summed out, and added.

    Args:
        tree: the result of `gm.sample` on this model.
        model: the conditioned model.
        data: new values of data by name. An observed variable in it is set to that value and not drawn.
        coords: labels of the dimensions whose size has changed; by default 0, 1, ...
        resample: free variables to draw anew from their conditionals instead of taking their draws, as the effects of
            new groups.
        extend: free variables with more elements at the new data, for known and new groups side by side: draws of the
            elements that were there are kept, the others are drawn from their conditional, those of a process or a
            path given the ones that were there. Data that they read hold the old rows with the new ones behind.
        seed: the same seed gives the same draws.

    Returns:
        A new tree with the group `posterior_predictive`, or with `predictions` and `predictions_constant_data`.

    Raises:
        SpecError: nothing is observed, an observed variable sits in an energy, or a free variable would need another
            shape than its draws have.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> line = gm.joint(b=dist.Normal(0, 1), x=gm.data([0.0, 1.0]), y=lambda b, x: dist.Normal(b * x, 1))
    >>> model = line.condition(y=[0.1, 0.8])
    >>> tree = gm.sample(model, gm.NUTS(), chains=1, draws=20, warmup=20, progress=False)
    >>> gm.predict(tree, model)["posterior_predictive"]["y"].shape
    (1, 20, 2)
    >>> gm.predict(tree, model, data={"x": [2.0, 3.0, 4.0]})["predictions"]["y"].shape
    (1, 20, 3)
    """
    tree, model = tree_and_model(tree, model)
    _check_arguments(tree, model, data, coords, (*resample, *extend))
    if data is not None or resample or extend:
        return predictions(tree, model, data or {}, coords or {}, tuple(resample), seed, tuple(extend))
    observed = tuple(model.observed)
    check_drawn("predict", model, observed)
    free, shape = posterior_points("predict", tree, model)
    keys = jax.random.split(seed_key("predict", seed), shape[0] * shape[1])
    values = completed(Interned.of(model), observed, keys, free, True)
    check_domains("predict(...)", model, values, 1)
    drawn = {name: np.asarray(values[name]).reshape(*shape, *values[name].shape[1:]) for name in model.observed}
    return with_group(tree, "posterior_predictive", as_tree(model, {"posterior_predictive": drawn}, attributes()))


def _check_arguments(tree: Any, model: Any, data: Any, coords: Any, changed: tuple[str, ...]) -> None:
    if not is_tree(tree) or not isinstance(model, Model):
        raise SpecError(
            f"predict(...): a model and a tree are needed, not {type(tree).__name__} and {type(model).__name__}."
            " Pass the result of gm.sample and the model it came from."
        )
    if not model.observed:
        raise SpecError("predict(...): the model observes nothing. Use the model after .condition(...).")
    if coords and data is None and not changed:
        raise SpecError("predict(coords=...): without new data the dimensions keep their labels. Pass data= as well.")
