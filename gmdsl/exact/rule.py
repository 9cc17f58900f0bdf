r"""The contract of exact marginalisation rules, $p(x) = \int p(x, z)\, dz$.

A rule looks at a model and at the variables to be hidden once, when `marginalize` is called, and
says what it can do or why not. It may prove, never guess: what it cannot prove it refuses, with an
empty reason where the variables are not of its kind at all.
"""

import abc
from collections.abc import Mapping
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from gmdsl.graph.factor import Values
from gmdsl.graph.factor_graph import FactorGraph

type Shapes = Mapping[str, Any]


class Rule(eqx.Module):
    """How the hidden variables of a model are integrated out at each evaluation."""

    @property
    @abc.abstractmethod
    def account(self) -> str:
        """What was done, as in "integrated out, linear-Gaussian"."""

    @property
    @abc.abstractmethod
    def evaluations(self) -> int:
        """How many evaluations of terms of the density it takes: of two rules that apply, the cheaper one is used."""

    @abc.abstractmethod
    def log_density(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Float[Array, ""]:
        """The log-density of the model with the hidden variables integrated out.

        Args:
            model: all factors that touch a hidden variable.
            hidden: the variables that have no value.
            values: every other variable that the model reads or defines.
        """

    @abc.abstractmethod
    def observations(self, model: FactorGraph, hidden: tuple[str, ...], values: Values) -> Array:
        """The same log-density, kept apart where it is a sum over independent observations."""
