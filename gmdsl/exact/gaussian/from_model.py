r"""Models that are Gaussian mixtures, $\sum_k w_k\, N(x; m_k, C_k)$: recognised, with their numbers.

The factors are visited in order; each extends the mixture by its children, whose means must be
affine in what came before. That is proved from the traced program (`gmdsl.core.jaxprs.affine`), never
guessed from values. Discrete labels that a factor has summed out are components.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.exact.gaussian.from_distribution import normal_form
from gmdsl.exact.gaussian.from_time_series import path_form
from gmdsl.exact.gaussian.gaussian_mixture import MOST_COMPONENTS, GaussianMixture, extended, mixed, nothing
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor, Names, Values
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.submodel import Submodel
from gmdsl.graph.factors.time_series import Scan
from gmdsl.graph.order import ancestors, cycle, ordered
from gmdsl.spaces.space import Real
from gmdsl.spaces.states import joint_states


def gaussian_mixture(model: FactorGraph) -> GaussianMixture | None:
    """The Gaussian mixture that a model is over its free variables; None when it is not recognised as one.

    Recognised are Gaussian variables (`gmdsl.exact.gaussian.from_distribution`) whose means are affine in the others,
    `gm.mixture` of such models, labels that `marginalize` summed out, and their products; given
    observed values, the posterior. Data, parameters and constants are read as they are now.

    Args:
        model: any model; works under `jax.jit`.

    Returns:
        Weights (k,), means (k, dim) and covariances (k, dim, dim) over the free variables, each
        flattened row by row, one after the other in the order of `model.free`.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> chain = gm.joint(a=dist.Normal(1.0, 1.0), b=lambda a: dist.Normal(2.0 * a, 1.0))
    >>> gaussian_mixture(chain).covariances.tolist()
    [[[1.0, 2.0], [2.0, 5.0]]]
    >>> gaussian_mixture(gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(a**2, 1.0))) is None
    True
    """
    if model.inputs or not model.free or cycle(model.factors):
        return None
    names, data = (*model.free, *_below(model)), known(model)
    values = {name: value for name, value in data.items() if name not in names}
    found = joint_form(model, values, names)
    if found is None or len(names) == len(model.free):
        return found
    seen = names[len(model.free) :]
    start = sum(_size(model, name) for name in model.free)
    point = jnp.concatenate([jnp.ravel(jnp.asarray(data[name], float)) for name in seen])
    return found.conditional(np.arange(start, start + point.size), point)


def joint_form(model: FactorGraph, values: Values, names: Names) -> GaussianMixture | None:
    """The mixture that a model is over some of its variables, in order; variables without a value are integrated out.

    Args:
        model: a model, such as the part of a mixture.
        values: what is known: data, parameters, inputs, observed values.
        names: the variables of the mixture.
    """
    hidden = [name for name in model.random if name not in names and name not in values]
    labels = {name: model.spaces[name] for name in hidden if model.spaces[name].discrete}
    real = tuple(name for name in (*names, *hidden) if name not in labels)
    if not all(isinstance(model.spaces[name], Real) for name in real) or model.narrowed:
        return None
    if not labels:
        return _mixture_given(model, values, names, real, ())
    states = joint_states(labels, MOST_COMPONENTS)
    if states is None:
        return None
    found = jax.vmap(lambda state: _mixture_given(model, {**values, **state}, names, real, tuple(labels)))(states)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)


def factor_form(factor: Factor, values: Values) -> GaussianMixture | None:
    """The mixture that a factor is over its children, one after the other, given its parents."""
    parents = {name: values[name] for name in factor.parents if name in values}
    if len(parents) < len(set(factor.parents)):
        return None
    if isinstance(factor, Distributed):
        return normal_form(factor.distribution(parents))
    if isinstance(factor, Scan):
        return path_form(factor, parents)
    if not isinstance(factor, Submodel):
        return None
    inside = factor.inside(parents)
    names = tuple(inner for inner, _ in factor.made)
    forms = [joint_form(part, {**known(part), **inside}, names) for part in factor.parts]
    recognised = [form for form in forms if form is not None]
    return mixed(factor.log_weights(inside), recognised) if len(recognised) == len(forms) else None


def propagated(
    model: FactorGraph, values: Values, factors: list[Factor], joint: GaussianMixture, reads: Names
) -> GaussianMixture | None:
    """A mixture extended by some factors, whose means may be affine in its first variables.

    Args:
        model: where shapes and deterministics are looked up.
        values: everything else that is known.
        factors: what extends it.
        joint: a mixture whose first variables are `reads`.
        reads: the variables that are handed to the factors.
    """
    for factor in factors:

        def conditional(u: Array, factor: Factor = factor) -> GaussianMixture | None:
            return factor_form(factor, filled(model, {**values, **_named(model, reads, u)}))

        found = extended(joint, conditional, sum(_size(model, name) for name in reads))
        if found is None:
            return None
        joint = found
    return joint


def filled(model: FactorGraph, values: Values) -> dict[str, Any]:
    """The values with every deterministic of a model that they determine."""
    have = dict(values)
    for factor in ordered(f for f in model.factors if isinstance(f, Deterministic)):
        if isinstance(factor, Deterministic) and have.keys() >= set(factor.parents):
            have[factor.child] = factor.evaluate(have)
    return have


def _mixture_given(
    model: FactorGraph, values: Values, names: Names, real: Names, labels: Names
) -> GaussianMixture | None:
    """The mixture over `names` at one state of the labels, weighted by its probability."""
    joint, reads, weight, have = nothing(), (), jnp.zeros(()), filled(model, values)
    for factor in ordered(model.factors):
        children = set(factor.children)
        if isinstance(factor, Deterministic):
            continue
        if not isinstance(factor, Conditional) or any(child in reads for child in children):
            return None
        if children & set(real):
            found = propagated(model, values, [factor], joint, reads) if children <= set(real) else None
            if found is None:
                return None
            joint, reads = found, (*reads, *factor.children)
        elif not have.keys() >= set(factor.parents):
            return None
        elif children & set(labels):
            weight = weight + factor.log_density(have)
    if set(reads) != set(real):
        return None
    starts = np.cumsum([0, *(_size(model, name) for name in reads)])
    keep = [np.arange(starts[i], starts[i + 1]) for i in (reads.index(name) for name in names)]
    found = joint.marginal(np.concatenate(keep))
    return GaussianMixture(weight + found.log_weights, found.means, found.covariances)


def _below(model: FactorGraph) -> Names:
    """Observed variables whose density depends on free ones."""
    free, found = set(model.free), []
    for factor in model.factors:
        above = {*factor.parents, *factor.children}.union(*(ancestors(model.factors, p) for p in factor.parents))
        if isinstance(factor, Conditional) and above & free:
            found += [child for child in factor.children if child in model.observed]
    return tuple(found)


def _named(model: FactorGraph, names: Names, flat: Float[Array, " dim"]) -> dict[str, Array]:
    found, start = {}, 0
    for name in names:
        stop = start + _size(model, name)
        found[name] = flat[start:stop].reshape(model.spaces[name].shape)
        start = stop
    return found


def _size(model: FactorGraph, name: str) -> int:
    return math.prod(model.spaces[name].shape)
