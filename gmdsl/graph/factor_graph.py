"""The record of a model: factors over named variables, what is known of them and what is derived from that.

Operators, rules and the compiler read this record and make others by `dataclasses.replace`, which keeps the class:
from a model comes a model. The class with the verbs, `gmdsl.models.model.Model`, is above them all.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.graph.factor import Deterministic, Factor
from gmdsl.graph.nodes import Param
from gmdsl.spaces.space import Space, abstract

type Abstract = dict[str, Any]
type Spaces = tuple[tuple[str, Space], ...]
type Pairs = tuple[tuple[str, Any], ...]


class FactorGraph(eqx.Module):
    """Factors over named variables, an immutable pytree: arrays are leaves, everything else is structure.

    Attributes:
        factors: the terms of the log-density.
        declared: pairs (variable, space) of the random and deterministic variables.
        data: constant arrays by name.
        params: learnable parameters by name.
        observed: observed values by name.
        inputs: pairs (name, space) that must be bound before compiling.
        constants: pairs (name, number).
        bound: pairs (name, space) of the inputs that have become data.
        narrowed: variables whose space is smaller than their distribution's support.
        dims: pairs (variable, names of its dimensions).
        coords: pairs (dimension, labels).
    """

    factors: eqx.AbstractVar[tuple[Factor, ...]]
    declared: eqx.AbstractVar[Spaces]
    data: eqx.AbstractVar[dict[str, Any]]
    params: eqx.AbstractVar[dict[str, Param]]
    observed: eqx.AbstractVar[dict[str, Any]]
    inputs: eqx.AbstractVar[Spaces]
    constants: eqx.AbstractVar[Pairs]
    bound: eqx.AbstractVar[Spaces]
    narrowed: eqx.AbstractVar[tuple[str, ...]]
    dims: eqx.AbstractVar[Pairs]
    coords: eqx.AbstractVar[Pairs]

    @property
    def spaces(self) -> dict[str, Space]:
        """Space of every random and deterministic variable."""
        return dict(self.declared)

    @property
    def deterministic(self) -> tuple[str, ...]:
        """Variables that are functions of others."""
        return tuple(c for f in self.factors if isinstance(f, Deterministic) for c in f.children)

    @property
    def random(self) -> tuple[str, ...]:
        """Random variables, observed ones included."""
        computed = set(self.deterministic)
        return tuple(name for name, _ in self.declared if name not in computed)

    @property
    def free(self) -> tuple[str, ...]:
        """Random variables that are not observed: what a sampler moves."""
        return tuple(name for name in self.random if name not in self.observed)


def known(model: FactorGraph) -> dict[str, Any]:
    """Values that are fixed: data, constants, parameters, observations."""
    parameters = {name: p.value for name, p in model.params.items()}
    arrays = {**model.data, **parameters, **model.observed}
    return {**{name: jnp.asarray(value) for name, value in arrays.items()}, **dict(model.constants)}


def shapes_of(model: FactorGraph) -> Abstract:
    """Shapes of everything that the factors of a model may read; constants are numbers."""
    data = {n: jax.ShapeDtypeStruct(np.shape(v), jax.dtypes.canonicalize_dtype(v.dtype)) for n, v in model.data.items()}
    params = {name: abstract(param.space) for name, param in model.params.items()}
    spaces = {name: abstract(space) for name, space in (*model.declared, *model.inputs)}
    return {**data, **params, **spaces, **dict(model.constants)}
