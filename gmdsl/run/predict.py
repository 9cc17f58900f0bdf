"""Prior and posterior predictive draws.

They follow the conditionals of a model; an energy has no draws of its own, and a model whose
observed variable sits in an energy says so instead of ignoring the term.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.program import split
from gmdsl.core.ancestral import complete
from gmdsl.core.conditional import Conditional
from gmdsl.core.errors import SpecError
from gmdsl.core.factor import Undirected
from gmdsl.core.model import Model
from gmdsl.diagnose.arviz_tree import as_tree, attributes, constants


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
    _refuse_energies("sample_prior", model, model.random)
    offer = dataclasses.replace(model, observed={}).capabilities()
    if not offer.drawable:
        raise SpecError(f"sample_prior(...): {offer.reasons['drawable']}.")
    program, leaves = split(model)
    keys = jax.random.split(jax.random.key(seed), draws)
    values = _completed(program, tuple(model.observed), leaves, keys, {})
    values = {name: np.asarray(value)[None] for name, value in values.items()}
    prior = {name: values[name] for name, _ in model.declared if name not in model.observed}
    predictive = {name: values[name] for name in model.observed}
    groups = {"prior": prior, "prior_predictive": predictive, **constants(model)}
    return as_tree(model, groups, {**attributes(), "seed": seed})


def predict(tree: Any, model: Model, *, seed: int = 0) -> Any:
    """Adds posterior predictive draws to a tree: each observed variable drawn anew given each draw.

    Args:
        tree: the result of `gm.sample` on this model.
        model: the conditioned model.
        seed: the same seed gives the same draws.

    Returns:
        A new tree with the group `posterior_predictive` added.

    Raises:
        SpecError: nothing is observed, or an observed variable sits in an energy.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> model = gm.joint(mu=dist.Normal(0, 1), y=lambda mu: dist.Normal(mu, 1)).condition(y=0.3)
    >>> tree = gm.sample(model, gm.NUTS(), chains=1, draws=20, warmup=20, progress=False)
    >>> gm.predict(tree, model)["posterior_predictive"]["y"].shape
    (1, 20)
    """
    if not model.observed:
        raise SpecError("predict(...): the model observes nothing. Use the model after .condition(...).")
    _refuse_energies("predict", model, tuple(model.observed))
    makers = [c for f in model.factors if isinstance(f, Conditional) and f.drawable for c in f.children]
    for name in model.observed:
        if makers.count(name) != 1:
            raise SpecError(
                f"predict(...): {name} is not drawn by exactly one conditional. Sample the joint by gm.sample."
            )
    program, leaves = split(model)
    free, shape = posterior_points("predict", tree, model)
    keys = jax.random.split(jax.random.key(seed), shape[0] * shape[1])
    values = _completed(program, tuple(model.observed), leaves, keys, free)
    drawn = {name: np.asarray(values[name]).reshape(*shape, *values[name].shape[1:]) for name in model.observed}
    return with_group(tree, "posterior_predictive", as_tree(model, {"posterior_predictive": drawn}, attributes()))


def _one_completed(program: Any, redraw: tuple[str, ...], leaves: Any, keys: Any, values: Any) -> Any:
    model = program.model(leaves)

    def one(key: Any, values: Any) -> Any:
        have = complete(model, key, values, redraw)
        return {name: have[name] for name in program.spaces}

    return jax.vmap(one)(keys, values)


_completed = jax.jit(_one_completed, static_argnums=(0, 1))


def posterior_points(operation: str, tree: Any, model: Model) -> tuple[dict[str, np.ndarray], tuple[int, int]]:
    """The free variables of all draws, flattened over (chain, draw), and that shape."""
    if "posterior" not in tree.children:
        raise SpecError(f"{operation}(...): the tree has no posterior. Pass the result of gm.sample.")
    posterior = tree["posterior"]
    free = {}
    for name in model.free:
        if name not in posterior:
            raise SpecError(f"{operation}(...): the tree has no {name}; it was sampled from another model.")
        free[name] = np.asarray(posterior[name].transpose("chain", "draw", ...))
        if free[name].shape[2:] != model.spaces[name].shape:
            raise SpecError(
                f"{operation}(...): {name} has shape {free[name].shape[2:]} in the tree, {model.spaces[name].shape} in"
                " the model; it was sampled from another model."
            )
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    return {name: value.reshape(-1, *value.shape[2:]) for name, value in free.items()}, shape


def with_group(tree: Any, group: str, other: Any) -> Any:
    """The tree with one group taken from another tree."""
    from xarray import DataTree

    children = {f"/{name}": child for name, child in tree.children.items() if name != group}
    return DataTree.from_dict({"/": tree.to_dataset(), **children, f"/{group}": other[group]})


def _refuse_energies(operation: str, model: Model, names: tuple[str, ...]) -> None:
    for factor in model.factors:
        touched = set(factor.parents) & set(names)
        if isinstance(factor, Undirected) and touched:
            raise SpecError(
                f"{operation}(...): {sorted(touched)[0]} is in the energy {factor.name}, which cannot be drawn from."
                " Sample the joint by gm.sample instead."
            )
