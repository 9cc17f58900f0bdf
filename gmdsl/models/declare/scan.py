"""Declaring a path: `gm.scan`, and the probe that finds where the path lives."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant, Function, captured
from gmdsl.core.pytrees.reads import arguments
from gmdsl.distributions.recognise import is_distribution
from gmdsl.graph.factor import Call, call_by_name, call_by_order
from gmdsl.graph.factors.time_series import CARRY, PREVIOUS, SeriesSteps
from gmdsl.graph.nodes import Given


class Series:
    """A path as it was declared; a node of `gm.joint`.

    Attributes:
        steps: its calls.
        functions: the user's functions, to warn of what they close over.
    """

    def __init__(self, steps: SeriesSteps, functions: tuple[Any, ...]):
        self.steps = steps
        self.functions = functions

    def captured(self) -> list[tuple[str, str]]:
        """Arrays and mutable objects that the functions close over."""
        return [found for function in self.functions for found in captured(function)]


def scan(
    step: Callable[..., Any] | Given,
    *,
    first: Any,
    length: int | None = None,
    each: tuple[str, ...] | list[str] = (),
    carry: Any = None,
) -> Series:
    """A node of `gm.joint` over a whole path: each value has a distribution given the one before.

    Args:
        step: from the previous value and other nodes, by name, to the distribution of the next value. With `carry`
            its second argument is the carry, and it returns the next carry and the distribution. A module takes its
            parents by `gm.given`.
        first: the distribution of the first value, or a function of nodes that returns it.
        length: how many values; by default as many as the nodes in `each` have rows.
        each: nodes of which step t reads row t; `first` reads row 0.
        carry: the carry that the second value sees: a number, an array, or a function of nodes that returns a pytree
            of arrays.

    Returns:
        A node. Its values have time as their first axis.

    Raises:
        SpecError: a step without an argument for the previous value, names in `each` that nothing reads.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> walk = gm.joint(x=gm.scan(lambda before: dist.Normal(before, 1.0), first=dist.Normal(0.0, 1.0), length=3))
    >>> round(float(gm.compile(walk).log_density({"x": [0.0, 1.0, 1.0]})), 4)
    -3.2568
    """
    if length is not None and (not isinstance(length, int | np.integer) or length < 1):
        raise SpecError(f"scan(length={length!r}): a length is a whole number of at least 1.")
    rows = (each,) if isinstance(each, str) else tuple(each)
    if length is None and not rows:
        raise SpecError("scan(...): the length is not known. Pass length=, or each= with nodes of one row per step.")
    steps = SeriesSteps(
        _step_call(step, carry is not None),
        _call("first", first),
        None if carry is None else _call("carry", carry),
        rows,
        None if length is None else int(length),
    )
    unread = [name for name in rows if name not in steps.variables]
    if unread:
        raise SpecError(f"scan(each={rows!r}): nothing reads {unread[0]}. Name an argument of the step so.")
    return Series(steps, tuple(f for f in (step, first, carry) if callable(f)))


def _step_call(step: Any, carries: bool) -> Call:
    """The call of a step, whose first arguments are the previous value and the carry."""
    own = (PREVIOUS, CARRY) if carries else (PREVIOUS,)
    if isinstance(step, Given):
        return call_by_order(step.function, (*own, *step.variables))
    if not callable(step) or is_distribution(step):
        raise SpecError("scan(...): the step is a function of the previous value, as in lambda x: dist.Normal(x, 1.0).")
    names = arguments(step)
    if len(names) < len(own):
        what = "the previous value and the carry" if carries else "the previous value"
        raise SpecError(f"scan(...): the step has the arguments {', '.join(names) or 'none'}; it needs {what} first.")
    return Call(Function(step), tuple(zip(names, (*own, *names[len(own) :]), strict=True)))


def _call(which: str, value: Any) -> Call:
    """The call of the first distribution or of the first carry."""
    if isinstance(value, Given):
        return call_by_order(value.function, value.variables)
    if is_distribution(value) or (
        which == "carry" and isinstance(value, int | float | np.number | np.ndarray | jax.Array)
    ):
        return call_by_name(Constant(value))
    if callable(value) and not isinstance(value, type):
        return call_by_name(value)
    raise SpecError(f"scan({which}=...): a function of nodes is needed, not {type(value).__name__}.")
