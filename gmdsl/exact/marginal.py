r"""The factors of marginals, $p(x) = \int p(x, z)\, dz$: models with hidden variables inside.

What `Model.marginalize` replaces factors by; a rule (`gmdsl.exact.rules`) integrates at each evaluation.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Function
from gmdsl.core.random.repeat import repeated
from gmdsl.exact.rule import Rule
from gmdsl.exact.support_union import united_support
from gmdsl.graph.ancestral import complete
from gmdsl.graph.capability import capabilities
from gmdsl.graph.factor import Names, Undirected, Values
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.submodel import Pairs, Submodel
from gmdsl.graph.factors.wrapped import unwrapped
from gmdsl.graph.names import listed
from gmdsl.spaces.space import Space


class Marginal(Submodel):
    """A conditional with hidden variables inside.

    Attributes:
        parts: one model, with every factor that touches a hidden variable.
        hidden: the hidden variables, named as inside.
        rule: how they are integrated out.
        own: rules of the user, which are asked first where a rule is chosen again.
    """

    parts: tuple[Any, ...]
    rule: Rule
    hidden: Names = eqx.field(static=True)
    made: Pairs = eqx.field(static=True)
    read: Pairs = eqx.field(static=True)
    spaces: tuple[Space, ...] = eqx.field(static=True)
    own: tuple[Function, ...] = ()

    @property
    def normalized(self) -> bool:
        return capabilities(_bind_inputs(self.parts[0])).normalized

    @property
    def drawable(self) -> bool:
        return capabilities(_bind_inputs(self.parts[0])).drawable

    @property
    def account(self) -> Names:
        """What was done to the hidden variables, one line each."""
        return _account(self.parts[0], self.hidden, self.rule)

    @property
    def part(self) -> Any:
        """The model inside."""
        return self.parts[0]

    @property
    def pairs(self) -> Pairs:
        """Pairs (inside, outside) of all that is visible."""
        return (*self.read, *self.made)

    def around_part(self, part: Any, rule: Rule) -> "Marginal":
        """The marginal of another model over the same variables."""
        return dataclasses.replace(self, parts=(part,), rule=rule)

    def constraint_of(self, name: str, space: Space, values: Values) -> Any:
        inner = next(inner for inner, outer in self.made if outer == name)
        return united_support(self.parts[0], self.hidden, inner, self.inside(values))

    def log_weights(self, inside: Values) -> Float[Array, " 1"]:
        del inside
        return jnp.zeros(1)

    def log_density(self, values: Values) -> Float[Array, ""]:
        return self.rule.log_density(self.parts[0], self.hidden, self.inside(values))

    def observations(self, values: Values) -> Array:
        return self.rule.observations(self.parts[0], self.hidden, self.inside(values))

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        given = [outer for _, outer in self.made if outer in values]
        if given:
            raise SpecError(
                f"{self.name}: the rest cannot be drawn given {', '.join(given)}, because {', '.join(self.hidden)} was"
                " marginalised. Draw from the model from before."
            )
        inside = self.inside(values)

        def one(key: Array) -> dict[str, Any]:
            have = complete(_bind_inputs(self.parts[0]), key, inside)
            return {outer: have[inner] for inner, outer in self.made}

        return repeated(one, key, shape)


class MarginalEnergy(Undirected):
    """An undirected term with hidden variables inside.

    Attributes:
        model: every factor that touches a hidden variable.
        rule: how they are integrated out.
        hidden: the hidden variables, named as inside.
        read: pairs (inside, outside) of the other variables.
        own: rules of the user, which are asked first where a rule is chosen again.
    """

    model: FactorGraph
    rule: Rule
    hidden: Names = eqx.field(static=True)
    read: Pairs = eqx.field(static=True)
    own: tuple[Function, ...] = ()

    @property
    def name(self) -> str:
        return f"marginal({', '.join(self.parents)})"

    @property
    def parents(self) -> Names:
        return tuple(dict.fromkeys(outside for _, outside in self.read))

    @property
    def account(self) -> Names:
        """What was done to the hidden variables, one line each."""
        return _account(self.model, self.hidden, self.rule)

    @property
    def part(self) -> Any:
        """The model inside."""
        return self.model

    @property
    def pairs(self) -> Pairs:
        """Pairs (inside, outside) of all that is visible."""
        return self.read

    def around_part(self, part: Any, rule: Rule) -> "MarginalEnergy":
        """The marginal of another model over the same variables."""
        return dataclasses.replace(self, model=part, rule=rule)

    def log_density(self, values: Values) -> Float[Array, ""]:
        inside = {inner: values[outer] for inner, outer in self.read}
        return self.rule.log_density(self.model, self.hidden, inside)

    def rename(self, names: Mapping[str, str]) -> "MarginalEnergy":
        return dataclasses.replace(self, read=tuple((inner, names.get(outer, outer)) for inner, outer in self.read))


def accounts(model: FactorGraph) -> Names:
    """What was done to each hidden variable of a model, one line each, as in "z: integrated out, linear-Gaussian"."""
    factors = [unwrapped(factor) for factor in model.factors]
    return tuple(line for f in factors if isinstance(f, Marginal | MarginalEnergy) for line in f.account)


def _bind_inputs(model: FactorGraph) -> Any:
    """The model as it is once its inputs have values."""
    return dataclasses.replace(model, inputs=())


def _account(model: FactorGraph, hidden: Names, rule: Rule) -> Names:
    inside = [
        line for factor in model.factors if isinstance(factor, Marginal | MarginalEnergy) for line in factor.account
    ]
    return (f"{listed(hidden)}: {rule.account}", *inside)
