"""Factors: the terms whose sum is a log-density.

A factor reads named values at **one point** and returns a scalar; callers `vmap`. There are three
kinds: an `Energy` (undirected), a `Conditional` (normalised over its children given its parents,
`gmdsl.graph.conditional`) and a `Deterministic` (a value computed from its parents, no density).
"""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.core.pytrees.networks import as_module
from gmdsl.core.pytrees.reads import arguments

type Values = Mapping[str, Any]


class Call(eqx.Module):
    """A function or module together with the variables its arguments stand for.

    Attributes:
        function: what is called; the arrays of a module are leaves, a plain function has none.
        bindings: pairs (argument, variable); an empty argument is passed by position.
    """

    function: Any
    bindings: tuple[tuple[str, str], ...] = eqx.field(static=True)

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(variable for _, variable in self.bindings)

    def __call__(self, values: Values) -> Any:
        positional = [values[variable] for argument, variable in self.bindings if not argument]
        named = {argument: values[variable] for argument, variable in self.bindings if argument}
        return self.function(*positional, **named)

    def rename(self, names: Mapping[str, str]) -> "Call":
        return Call(self.function, tuple((argument, names.get(v, v)) for argument, v in self.bindings))


def call_by_name(function: Any) -> Call:
    """A call of a plain function, or of a constant, whose argument names are the variables."""
    if isinstance(function, Constant):
        return Call(function, ())
    names = tuple((name, name) for name in arguments(function))
    module = as_module("the network", function)
    return Call(Function(function) if module is function else module, names)


def call_by_order(function: Any, variables: tuple[str, ...]) -> Call:
    """A call that passes the variables by position (modules, builtins)."""
    function = as_module("the network", function)
    wrapped = _copy_module(function) if isinstance(function, eqx.Module) else Function(function)
    return Call(wrapped, tuple(("", variable) for variable in variables))


def _copy_module(module: eqx.Module) -> eqx.Module:
    """The module with private, read-only copies of its NumPy arrays."""
    copied = jax.tree.map(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, module)
    for leaf in jax.tree.leaves(copied):
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False
    return copied


class Factor(eqx.Module):
    """One term of a log-density over named variables.

    Attributes:
        atomic: whether it stands for points that have no density.
    """

    atomic: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What messages and pictures call this factor."""

    @property
    @abc.abstractmethod
    def parents(self) -> tuple[str, ...]:
        """Variables that are read."""

    @property
    @abc.abstractmethod
    def children(self) -> tuple[str, ...]:
        """Variables that are defined here; none for an energy."""

    @abc.abstractmethod
    def log_density(self, values: Values) -> Float[Array, ""]:
        """The term at one point."""

    @property
    def inner(self) -> "Factor | None":
        """The factor that this one wraps (a power, gaps, weights); None where it wraps none."""
        return None

    def around(self, inner: "Factor") -> "Factor":
        """The same wrapper around another factor; of a factor that wraps none, the other one."""
        return inner

    @property
    def limited(self) -> tuple[str, ...]:
        """Names of parameters that may leave their constraint, where the density is zero."""
        return () if self.inner is None else self.inner.limited

    def why_fixed(self, name: str) -> str:
        """Why an argument of the function behind the factor is no data, and how it becomes some; empty for others."""
        return "" if self.inner is None else self.inner.why_fixed(name)

    @property
    def maskable(self) -> bool:
        """Whether terms of some elements of its children may be left out by a mask."""
        return False if self.inner is None else self.inner.maskable

    def masked(self, values: Values) -> dict[str, Any]:
        """Which elements of the children have no term, by name, along the leading axes of their unconstrained values.

        Args:
            values: of all variables and data, as numbers.
        """
        return {} if self.inner is None else self.inner.masked(values)

    @abc.abstractmethod
    def rename(self, names: Mapping[str, str]) -> "Factor":
        """The same factor over renamed variables."""


class Undirected(Factor):
    """A term without children: its normalising constant is unknown."""

    @property
    def children(self) -> tuple[str, ...]:
        return ()


class Energy(Undirected):
    r"""An undirected term $\log p(x) = -E(x) + \text{const}$.

    Attributes:
        call: the function and its variables.
        label: the name of the term.
        sign: -1 for an energy, +1 for a log-density that is handed in as one.
    """

    call: Call
    label: str = eqx.field(static=True)
    sign: float = eqx.field(static=True, default=-1.0)

    @property
    def name(self) -> str:
        return f"{self.label}({', '.join(self.call.variables)})"

    @property
    def parents(self) -> tuple[str, ...]:
        return self.call.variables

    def log_density(self, values: Values) -> Float[Array, ""]:
        value = jnp.asarray(self.call(values))
        if not jnp.issubdtype(value.dtype, jnp.floating):
            value = value.astype(float)  # the whole number of an energy of spins
        return -value if self.sign < 0 else value

    def rename(self, names: Mapping[str, str]) -> "Energy":
        return Energy(self.call.rename(names), self.label, self.sign)


class Deterministic(Factor):
    """A variable that is a function of its parents; it adds nothing to the density."""

    child: str = eqx.field(static=True)
    call: Call

    @property
    def name(self) -> str:
        return f"{self.child} = f({', '.join(self.call.variables)})"

    @property
    def parents(self) -> tuple[str, ...]:
        return self.call.variables

    @property
    def children(self) -> tuple[str, ...]:
        return (self.child,)

    def evaluate(self, values: Values) -> Any:
        return jnp.asarray(self.call(values))

    def log_density(self, values: Values) -> Float[Array, ""]:
        return jnp.zeros(())

    def rename(self, names: Mapping[str, str]) -> "Deterministic":
        return Deterministic(names.get(self.child, self.child), self.call.rename(names))


type Names = tuple[str, ...]


def title(children: tuple[str, ...], parents: tuple[str, ...]) -> str:
    """How a density is written, p(x | z)."""
    return f"p({', '.join(children)}{' | ' + ', '.join(parents) if parents else ''})"
