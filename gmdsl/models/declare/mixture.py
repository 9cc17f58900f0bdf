r"""Mixtures, $p(x) = \sum_k w_k\, p_k(x)$, of normalised models.

The label $k$ is hidden: it is summed out and is no variable of the model. Given a point, its
posterior is $r_k(x) = w_k p_k(x) / \sum_j w_j p_j(x)$, the *responsibilities*.

Reference:
    Bishop, *Pattern Recognition and Machine Learning*, 2006, section 9.2.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.numerics import safe_logsumexp
from gmdsl.core.user_arrays import as_numbers
from gmdsl.graph.ancestral import complete, known
from gmdsl.graph.capability import capabilities, observed_below_free
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.evaluate import completed, log_density
from gmdsl.graph.factor import Deterministic, Values
from gmdsl.graph.factors.submodel import Nested, Pairs, chosen, repeated, title
from gmdsl.graph.nodes import Param
from gmdsl.graph.order import ordered
from gmdsl.spaces.space import Space, fixed_space
from gmdsl.spaces.vectors import Simplex

if TYPE_CHECKING:
    from gmdsl.models.model import Model

WEIGHTS = "weights"  # what learnable weights are called, inside and (until renamed) outside
TOLERANCE = 1e-6  # how far the sum of the weights may be from one; they are then divided by it


class Mixture(Nested):
    """The factor of a mixture: its parts are whole models.

    Attributes:
        parts: the models; they share their free variables and inputs.
        weights: their weights; None when the weights are a parameter, read as a parent.
        numbers: the constants of the parts with their types, which equality of models cannot see.
    """

    parts: tuple[Any, ...]
    weights: Any
    made: Pairs = eqx.field(static=True)
    read: Pairs = eqx.field(static=True)
    spaces: tuple[Space, ...] = eqx.field(static=True)
    numbers: str = eqx.field(static=True)

    @property
    def name(self) -> str:
        return f"mixture {title(self.children, self.parents)}"

    @property
    def normalized(self) -> bool:
        return True

    @property
    def drawable(self) -> bool:
        return all(capabilities(_closed(part)).drawable for part in self.parts)

    def log_density(self, values: Values) -> Float[Array, ""]:
        return safe_logsumexp(self.log_terms(values))

    def observations(self, values: Values) -> Float[Array, ""]:
        return self.log_density(values)

    def log_terms(self, values: Values) -> Float[Array, " parts"]:
        """The terms log w_k + log p_k, one per part."""
        inside = self.inside(values)
        return self.log_weights(inside) + jnp.stack([log_density(part, inside) for part in self.parts])

    def log_weights(self, inside: Values) -> Float[Array, " parts"]:
        """The logarithms of the weights; `inside` holds them where they are a parameter."""
        return jnp.log(jnp.asarray(inside[WEIGHTS] if self.weights is None else self.weights))

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        """A draw of the children that `values` does not hold, given those that it holds."""
        inside = self.inside(values)
        given = [name for name, _ in self.made if name in inside]
        weights = self.log_weights(inside)
        if given:
            weights += jnp.stack([_evidence(part, inside, given) for part in self.parts])

        def one(key: Array) -> dict[str, Any]:
            key_label, key_parts = jax.random.split(key)
            drawn = [complete(_closed(part), key_parts, inside) for part in self.parts]
            options = [{outer: jnp.asarray(have[inner]) for inner, outer in self.made} for have in drawn]
            return chosen(jax.random.categorical(key_label, weights), options)

        return repeated(one, key, shape)


def mixture(weights: Any, *parts: "Model") -> "Model":
    """A mixture of normalised models; the label is hidden.

    Args:
        weights: one number per part, at least zero, that add to one; or `gm.param(init, gm.Simplex(n))`
            to learn them, which becomes the parameter `weights` of the model.
        parts: models with the same free variables, spaces and inputs. Their data, parameters and
            constants stay theirs; their deterministics are not exported.

    Raises:
        SpecError: weights that are none; a part that is not normalised, is observed, or has other
            variables than the first.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> left, right = gm.joint(x=dist.Normal(-2.0, 1.0)), gm.joint(x=dist.Normal(2.0, 1.0))
    >>> both = gm.mixture([0.3, 0.7], left, right)
    >>> [round(float(r), 4) for r in both.responsibilities({"x": 0.0})]
    [0.3, 0.7]
    """
    if not parts:
        raise SpecError("mixture(weights): no part was given. Write gm.mixture([0.3, 0.7], left, right).")
    for number, part in enumerate(parts, 1):
        _check_part(number, part, parts[0])
    params, values = _weights(weights, len(parts))
    first = parts[0]
    spaces = {name: fixed_space("mixture(...)", name, first.spaces[name]) for name in first.free}
    inputs = dict(first.inputs)
    if params and WEIGHTS in {*spaces, *inputs}:
        raise SpecError(f"mixture(...): the parts have a variable {WEIGHTS!r}, the name of the parameter. Rename it.")
    factor = Mixture(
        parts=parts,
        weights=values,
        made=tuple((name, name) for name in spaces),
        read=tuple((name, name) for name in (*inputs, *params)),
        spaces=tuple(spaces.values()),
        numbers=repr([part.constants for part in parts]),
    )
    dims = tuple((name, labels) for name, labels in first.dims if name in spaces)
    used = {label for _, labels in dims for label in labels}
    return dataclasses.replace(
        first,
        factors=(factor,),
        declared=tuple(spaces.items()),
        data={},
        params=params,
        constants=(),
        bound=(),
        narrowed=(),
        dims=dims,
        coords=tuple((label, names) for label, names in first.coords if label in used),
    )


def responsibilities(model: Any, values: Any) -> Float[Array, " parts"]:
    """The posterior probabilities of the labels at one point; see `Model.responsibilities`."""
    found = [factor for factor in model.factors if isinstance(factor, Mixture)]
    if len(found) != 1:
        what = "is not a mixture" if not found else f"has {len(found)} mixtures"
        raise SpecError(f"responsibilities(...): the model {what}. Ask the result of one gm.mixture.")
    point = values if isinstance(values, Mapping) else dict.fromkeys(model.free[:1], values)
    inputs = dict(model.inputs)
    for name in point:
        if name not in model.free and name not in inputs:
            raise unknown_name(f"responsibilities({{{name!r}: ...}})", name, [*model.free, *inputs])
    point = {name: jnp.asarray(value) for name, value in point.items()}
    for name in (*model.free, *inputs):
        space = model.spaces.get(name, inputs.get(name))
        if name not in point:
            raise SpecError(f"responsibilities(...): {name} is missing; give {', '.join((*model.free, *inputs))}.")
        if point[name].shape != space.shape:
            raise SpecError(
                f"responsibilities(...): {name} has shape {point[name].shape}, but was declared {space.shape}."
                " Pass one point; for many, use jax.vmap."
            )
    return jax.nn.softmax(found[0].log_terms(completed(model, point)))


def _check_part(number: int, part: Any, first: Any) -> None:
    where = f"mixture(...): part {number}"
    if not hasattr(part, "capabilities"):
        raise SpecError(f"{where} is {type(part).__name__}, not a model. Make one by gm.joint.")
    if part.observed:
        raise SpecError(
            f"{where} observes {', '.join(part.observed)}. Observe it in the mixture, gm.mixture(...).condition(...)."
        )
    offer = part.capabilities()
    if not offer.normalized:
        raise SpecError(
            f"{where} is not normalised: {offer.reasons['normalized']}. Weights of unnormalised densities mean"
            " nothing, as their constants are unknown. Mix normalised models; gm.log_z estimates a constant."
        )
    for what, mine, others in (
        ("variables", {name: part.spaces[name] for name in part.free}, {n: first.spaces[n] for n in first.free}),
        ("inputs", dict(part.inputs), dict(first.inputs)),
    ):
        if mine != others:
            raise SpecError(
                f"{where} has the {what} {_listed(mine)}, but part 1 has {_listed(others)}."
                " Give all parts the same names and spaces."
            )
    if not part.free:
        raise SpecError(f"{where} has no free variable. Declare one, as in gm.joint(x=dist.Normal(0.0, 1.0)).")


def _weights(weights: Any, count: int) -> tuple[dict[str, Param], np.ndarray | None]:
    """The parameter, or the numbers."""
    if isinstance(weights, Param):
        if weights.space != Simplex(count):
            raise SpecError(
                f"mixture(gm.param(...), ...): the weights of {count} parts live in Simplex({count}), not in"
                f" {weights.space.title}. Write gm.param(init, gm.Simplex({count}))."
            )
        return {WEIGHTS: weights}, None
    values = as_numbers("mixture(weights, ...)", weights).astype(float)
    if values.shape != (count,):
        raise SpecError(
            f"mixture(weights, ...): {count} parts need {count} weights, but the weights have shape {values.shape}."
        )
    if (values < 0.0).any() or not abs(values.sum() - 1.0) <= TOLERANCE:
        raise SpecError(
            f"mixture({values.tolist()}, ...): weights are at least 0 and add to 1; these add to {values.sum():.6g}."
            " Divide them by their sum."
        )
    return {}, values / values.sum()


def _closed(part: Any) -> Any:
    """The part as it is once its inputs have values."""
    return dataclasses.replace(part, inputs=())


def _evidence(part: Any, inside: Values, given: list[str]) -> Float[Array, ""]:
    """The marginal log-density of some variables of a part that lie above all others."""
    below = observed_below_free(dataclasses.replace(part, observed={name: inside[name] for name in given}))
    if below:
        raise SpecError(f"mixture(...): no draws of the rest given {', '.join(given)}: {below}. Use gm.sample.")
    have, terms = {**known(part), **inside}, [jnp.zeros(())]
    for factor in ordered(part.factors):
        if isinstance(factor, Deterministic) and have.keys() >= set(factor.parents):
            have[factor.child] = factor.evaluate(have)
        elif isinstance(factor, Conditional) and have.keys() >= {*factor.parents, *factor.children}:
            terms.append(factor.log_density(have))
    return sum(terms[1:], terms[0])


def _listed(spaces: dict[str, Space]) -> str:
    return ", ".join(f"{name} in {space.title}" for name, space in spaces.items()) or "none"
