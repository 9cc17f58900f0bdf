r"""The factor of a mixture, $p(x) = \sum_k w_k\, p_k(x)$: its parts are whole models."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.numerics import safe_logsumexp
from gmdsl.core.random.repeat import repeated
from gmdsl.graph.ancestral import complete
from gmdsl.graph.capability import capabilities, observed_below_free
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.evaluate import log_density
from gmdsl.graph.factor import Deterministic, Values, title
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.graph.factors.submodel import Pairs, Submodel, chosen
from gmdsl.graph.order import ordered
from gmdsl.spaces.space import Space

WEIGHTS = "weights"  # what learnable weights are called, inside and (until renamed) outside


class Mixture(Submodel):
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
    def drawable(self) -> bool:
        return all(capabilities(_bind_inputs(part)).drawable for part in self.parts)

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
            drawn = [complete(_bind_inputs(part), key_parts, inside) for part in self.parts]
            options = [{outer: jnp.asarray(have[inner]) for inner, outer in self.made} for have in drawn]
            return chosen(jax.random.categorical(key_label, weights), options)

        return repeated(one, key, shape)


def _bind_inputs(part: FactorGraph) -> Any:
    """The part as it is once its inputs have values."""
    return dataclasses.replace(part, inputs=())


def _evidence(part: FactorGraph, inside: Values, given: list[str]) -> Float[Array, ""]:
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
