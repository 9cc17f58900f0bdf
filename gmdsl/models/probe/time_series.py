"""Probing a time series: where its values live, and whether every step agrees."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gmdsl.core.errors import SpecError
from gmdsl.distributions.recognise import is_distribution
from gmdsl.graph.factor import Call
from gmdsl.graph.factor_graph import Abstract
from gmdsl.graph.factors.time_series import CARRY, PREVIOUS, Scan, SeriesSteps
from gmdsl.models.probe.domains import unproved
from gmdsl.models.probe.shapes import evaluated, probe_node
from gmdsl.spaces.from_constraint import space_of
from gmdsl.spaces.space import Space, abstract


def probe_series(
    name: str, steps: SeriesSteps, known: Abstract, spaces: Mapping[str, Space], data: Mapping[str, Any]
) -> Scan:
    """The factor of a path.

    Args:
        name: the path.
        steps: its calls.
        known: shapes of everything that is read.
        spaces: of the variables, parameters and inputs.
        data: arrays that are read.

    Raises:
        SpecError: rows that do not fit, values that differ in shape or support along the path.
    """
    length = _length(name, steps, known)
    rows = {v: _row(known[v]) if v in steps.each else known[v] for v in steps.variables}
    one, proper = _probe_one(name, "first", steps.first, rows)
    call: Any = steps.step
    rows[PREVIOUS] = abstract(one)
    if (carry := steps.carry) is not None:
        rows[CARRY] = evaluated(name, lambda values: jax.tree.map(_float, carry(values)), carry, rows)
        call = _Second(name, steps.step)
        _check_carry(name, evaluated(name, call.carry, call, rows), rows[CARRY])
    other, still = _probe_one(name, "step", call, rows)
    if one != other:
        raise SpecError(
            f"{name}: its first value lives in {one.title}, the following in {other.title}."
            " Give both one shape and one support."
        )
    if one.dynamic:
        raise SpecError(
            f"{name}: the bounds of its values ({one.title}) move. Give every value of a path one fixed support."
        )
    space = _path_space(name, call, rows, length, one)
    within = {**spaces, PREVIOUS: one}
    first, following = (unproved(each, rows, within, data) for each in (steps.first, call))
    return Scan(name, steps, space, length, proper and still, tuple(dict.fromkeys((*first, *following))))


class _Second:
    """A step with a carry, as the call of a distribution alone."""

    def __init__(self, name: str, step: Call):
        self.name, self.step, self.variables = name, step, step.variables

    def __call__(self, values: Mapping[str, Any]) -> Any:
        return self._both(values)[1]

    def carry(self, values: Mapping[str, Any]) -> Any:
        return jax.tree.map(_float, self._both(values)[0])

    def _both(self, values: Mapping[str, Any]) -> Any:
        found = self.step(values)
        if not isinstance(found, tuple) or len(found) != 2 or not is_distribution(found[1]):
            given = (
                [type(part).__name__ if is_distribution(part) else "value" for part in found]
                if isinstance(found, tuple)
                else []
            )
            what = f"({', '.join(given)})" if isinstance(found, tuple) else type(found).__name__
            raise SpecError(f"{self.name}: with carry=, a step returns (carry, distribution), not {what}.")
        return found


def _check_carry(name: str, after: Any, start: Any) -> None:
    shapes = [jax.tree.map(lambda leaf: leaf.shape, tree) for tree in (after, start)]
    if shapes[0] != shapes[1]:
        raise SpecError(f"{name}: the step makes a carry of shape {shapes[0]} from one of {shapes[1]}. Keep its shape.")


def _probe_one(name: str, which: str, call: Any, known: Abstract) -> tuple[Space, bool]:
    space, random, proper = probe_node(name, call, known)
    if not random:
        raise SpecError(f"{name}: its {which} returns no distribution. Return one, as in dist.Normal(previous, 1.0).")
    return space, proper


def _path_space(name: str, call: Any, known: Abstract, length: int, one: Space) -> Space:
    """The space of a path whose values live in `one`."""
    found: list[Space] = []

    def run(values: Mapping[str, Any]) -> None:
        found.append(space_of(call(values).support, (length, *one.shape)))

    evaluated(name, run, call, known)
    return found[0]


def _length(name: str, steps: SeriesSteps, known: Abstract) -> int:
    sizes = {v: (tuple(getattr(known[v], "shape", ())) or (0,))[0] for v in steps.each}
    length = steps.length if steps.length is not None else next(iter(sizes.values()))
    for variable, size in sizes.items():
        if size != length:
            raise SpecError(
                f"{name}: {variable} has {size} rows, but the path has {length} steps. Give one row per step."
            )
    return length


def _row(value: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(value.shape[1:], value.dtype)


def _float(leaf: Any) -> Any:
    return jnp.asarray(leaf, jnp.result_type(leaf, float))
