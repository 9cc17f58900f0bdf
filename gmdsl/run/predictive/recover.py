"""Discrete variables that were summed out, recovered at the draws of a tree: labels of a mixture, states of a path."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from gmdsl.compiler.flat_target import Interned
from gmdsl.core.errors import SpecError
from gmdsl.core.random.keys import seed_key
from gmdsl.core.runtime.precision import full_precision
from gmdsl.core.settings import checked_settings
from gmdsl.exact.imputed import hidden_states, hides_labels
from gmdsl.exact.marginal import Marginal, MarginalEnergy
from gmdsl.exact.missing import Missing
from gmdsl.graph.ancestral import complete
from gmdsl.graph.factor import Factor
from gmdsl.graph.factors.power import Power
from gmdsl.graph.factors.wrapped import innermost
from gmdsl.models.model import Model
from gmdsl.results.arguments import is_tree, tree_and_model
from gmdsl.results.tree import as_tree, attributes
from gmdsl.run.predictive.points import posterior_points, with_group
from gmdsl.spaces.space import Space
from gmdsl.spaces.states import labelled

AT_ONCE = 64  # draws side by side


@checked_settings
def recover(tree: Any, model: Model, *, seed: int = 0) -> Any:
    r"""Adds what is known of discrete variables that `.marginalize` summed out, given each posterior draw.

    For a variable z, the group `recovered` holds `z`, one draw from $p(z \mid x, y)$ for each posterior draw, so that
    both together are draws from the joint posterior; `z_probability`, $p(z_i = k \mid x, y)$ of each element on a last
    axis; and `z_most_probable`, the most probable joint value. For the states of a hidden Markov model these are
    forward filtering with backward sampling, the smoothing probabilities, and the path of Viterbi.

    What is missing in y says nothing of z, so a path goes through gaps and beyond the last value. Weights and positive
    powers around the sum say how often a term counts when x is inferred. They leave the law of z as it is,
    $p(z \mid x, y)$ of the term once, also where a weight is zero; a weight or power that was given before
    `.marginalize` is a part of that law. A sum to a power of zero or below, as in a quotient, is refused.

    Args:
        tree: the result of `gm.sample` on this model.
        model: the conditioned model, after `.marginalize`.
        seed: the same seed gives the same draws.

    Returns:
        A new tree with the group `recovered`; arrays (chain, draw, ...).

    Raises:
        SpecError: nothing discrete was summed out, it divides the density, or its states are too many.

    >>> import gmdsl as gm, jax.numpy as jnp, numpyro.distributions as dist
    >>> labels = gm.joint(
    ...     m=dist.Normal(0, 5), k=dist.Categorical(jnp.ones(2) / 2).expand([3]), y=lambda m, k: dist.Normal(m * k, 1)
    ... )
    >>> model = labels.marginalize("k").condition(y=[0.0, 4.0, 5.0])
    >>> tree = gm.sample(model, gm.NUTS(), chains=1, draws=20, warmup=20, progress=False)
    >>> gm.recover(tree, model)["recovered"]["k_probability"].shape
    (1, 20, 3, 2)
    """
    tree, model = tree_and_model(tree, model)
    if not is_tree(tree) or not isinstance(model, Model):
        raise SpecError(
            f"recover(...): a tree and a model are needed, not {type(tree).__name__} and {type(model).__name__}."
            " Pass the result of gm.sample and the model it came from."
        )
    spaces = _summed_out(model)
    free, shape = posterior_points("recover", tree, model)
    keys = jax.random.split(seed_key("recover", seed), shape[0] * shape[1])
    found = _recovered(Interned.of(model), keys, free)
    arrays = {name: np.asarray(value).reshape(*shape, *value.shape[1:]) for name, value in found.items()}
    return with_group(tree, "recovered", as_tree(_with_dims(model, spaces), {"recovered": arrays}, attributes()))


@jax.jit
def _recovered(interned: Interned, keys: Array, free: Any) -> Any:
    return jax.lax.map(lambda point: _at_draw(interned.model, *point), (keys, free), batch_size=AT_ONCE)


@full_precision
def _at_draw(model: Any, key: Array, free: Any) -> dict[str, Array]:
    """The three arrays of each variable at one draw."""
    have, found = complete(model, key, free), {}
    for number, factor in enumerate(_sums(model)):
        known = hidden_states(jax.random.fold_in(key, number), factor, have)
        if isinstance(known, str):
            raise SpecError(
                f"recover(...): {', '.join(factor.hidden)} cannot be recovered element by element ({known}). Keep it in"
                " the model, and let gm.Gibbs move it."
            )
        for name in factor.hidden:
            found[name] = known.draw[name]
            found[f"{name}_probability"] = known.probabilities[name]
            found[f"{name}_most_probable"] = known.most_probable[name]
    return found


def _sums(model: Model) -> list[Marginal | MarginalEnergy]:
    """The sums over labels in a model, whatever weights and powers are around them."""
    insides = (innermost(factor) for factor in model.factors)
    return [inside for inside in insides if isinstance(inside, Marginal | MarginalEnergy) and hides_labels(inside)]


def _summed_out(model: Model) -> dict[str, Space]:
    """The spaces of the discrete variables that were summed out."""
    found: dict[str, Space] = {}
    for factor in model.factors:
        if hides_labels(innermost(factor)):
            _check_around(factor)
    for factor in _sums(model):
        for name in factor.hidden:
            if name in found or name in model.spaces:
                raise SpecError(f"recover(...): two variables are called {name}. Rename one before .marginalize.")
            found[name] = factor.part.spaces[name]
    if not found:
        raise SpecError(
            "recover(...): no discrete variable of finitely many values was summed out. Use the model after"
            ' .marginalize("z"), the one that was sampled; a variable that is still free has its draws in the tree.'
        )
    return found


def _check_around(factor: Factor) -> None:
    """Refuses sums whose labels have no law given the rest: in the denominator, or around gaps that are read inside."""
    hidden, around = ", ".join(innermost(factor).hidden), factor  # ty: ignore[missing-attribute]
    while (inner := around.inner) is not None:
        if isinstance(around, Power) and around.exponent <= 0.0:
            raise SpecError(
                f"recover(...): the sum over {hidden} stands in the model to the power {around.exponent:g}, so its"
                " labels explain nothing there, and have no law. Recover from the model that has it to a positive"
                " power."
            )
        if isinstance(around, Missing):
            raise SpecError(
                f"recover(...): {around.name} has gaps that are read behind {hidden}, so its labels have no law that"
                f" is known. Take the model in which nothing else that is hidden reads {around.children[0]}."
            )
        around = inner


def _with_dims(model: Model, spaces: dict[str, Space]) -> Model:
    """The model with names for the axes of what is recovered, and the values as labels of the last one."""
    dims, coords = dict(model.dims), dict(model.coords)
    for name, space in spaces.items():
        own = dims.get(name, tuple(f"{name}_dim_{axis}" for axis in range(len(space.shape))))
        dims |= {name: own, f"{name}_most_probable": own, f"{name}_probability": (*own, f"{name}_value")}
        coords[f"{name}_value"] = tuple(np.asarray(labelled(space, np.arange(space.cardinality or 1))).tolist())
        for label, size in zip(own, space.shape, strict=True):
            coords.setdefault(label, tuple(range(size)))
    return dataclasses.replace(model, dims=tuple(dims.items()), coords=tuple(coords.items()))
