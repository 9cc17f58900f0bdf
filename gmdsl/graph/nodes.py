"""Nodes that are not random: data, parameters, inputs, and functions tied to their parents."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.core.user_arrays import as_numbers
from gmdsl.spaces.bijections import from_support, to_support
from gmdsl.spaces.space import Real, Space


class Data(eqx.Module):
    """A constant array: traced, so that new values of one shape compile nothing."""

    value: Any


class Param(eqx.Module):
    """A learnable number or array, held unconstrained; a constant while a density is evaluated."""

    free: Any
    space: Space = eqx.field(static=True)

    @property
    def value(self) -> Array:
        """The constrained value."""
        return to_support(self.space.constraint, self.free)[0]


class Input(eqx.Module):
    """A value that must be bound before the model compiles, as x is in p(y given x)."""

    space: Space = eqx.field(static=True)


class Given(eqx.Module):
    """A callable (a module, a builtin) tied to the variables it is called with, in order."""

    variables: tuple[str, ...] = eqx.field(static=True)
    function: Any


def data(array: Any) -> Data:
    """A constant node of a model: copied here, traced when compiled, listed in `constant_data`.

    Args:
        array: numbers, any shape. NaN is refused.

    Raises:
        SpecError: it is not an array of numbers, or holds NaN.

    >>> data([1.0, 2.0]).value
    array([1., 2.])
    """
    return Data(as_numbers("data(...)", array))


def param(init: Any, space: Space | None = None) -> Param:
    """A node that `gm.fit` learns, held unconstrained; for a sampler a constant at its value.

    Args:
        init: its first value, inside the space.
        space: where it lives; by default `Real` of the shape of `init`.

    Raises:
        SpecError: `init` has another shape than the space or lies outside it.

    >>> param(0.5).space
    Real(shape=())
    """
    value = as_numbers("param(...)", init).astype(float)
    space = Real(*value.shape) if space is None else space
    if value.shape != space.shape:
        raise SpecError(f"param(...): shape {value.shape}, but the space is {space.title}. Give both one shape.")
    if not space.contains(value):
        raise SpecError(f"param(...): {value} is not in {space.title}. Start inside the space.")
    return Param(np.asarray(from_support(space.constraint, value)), space)


def input(space: Space) -> Input:
    """A node whose value is bound later, by `condition` or by a product with a model that defines it.

    >>> input(Real(2))
    Input(space=Real(shape=(2,)))
    """
    if not isinstance(space, Space):
        raise SpecError(f"input(...): a space is needed, such as gm.Real(2), not {type(space).__name__}.")
    return Input(space)


def given(*variables_then_function: Any) -> Given:
    """Ties a module or builtin to its parents: `gm.given("z", decoder)`.

    Args:
        variables_then_function: the names of the parents in the order of the arguments, then the callable.

    Raises:
        SpecError: the last argument is not callable, or a name is not a string.
    """
    *variables, function = variables_then_function
    if not callable(function) or not all(isinstance(name, str) for name in variables):
        raise SpecError('given(...): names first, then a callable, as in gm.given("z", decoder).')
    return Given(tuple(variables), function)
