r"""A whole path of a time series as one variable, $p(x) = p(x_1) \prod_t p(x_t \mid x_{t-1})$.

Given the path every factor is known at once, so the density is evaluated in parallel over time; only a draw goes
step by step. With a carry (the volatility of a GARCH model) the step also updates a value that is computed from the
past, $c_t = f(x_{t-1}, c_{t-1})$, and the density goes step by step too.

Reference:
    Durbin, Koopman, *Time Series Analysis by State Space Methods*, 2012, chapter 2.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.random.repeat import repeated
from gmdsl.distributions.domain import log_prob
from gmdsl.graph.factor import Call, Values
from gmdsl.graph.factors.declared import Declared
from gmdsl.spaces.layout import Layout
from gmdsl.spaces.space import Space

PREVIOUS, CARRY = "/previous", "/carry"  # what a step is called with; no variable can be called so


class SeriesSteps(eqx.Module):
    """The calls of a path. Made by `gm.scan`, probed when the model is declared.

    Attributes:
        step: makes the distribution of a value from the previous one; with a carry, the next carry as well.
        first: makes the distribution of the first value.
        carry: makes the first carry; None without one.
        each: variables that are read one row per step.
        length: how many values; None for as many as there are rows.
    """

    step: Call
    first: Call
    carry: Call | None
    each: tuple[str, ...] = eqx.field(static=True)
    length: int | None = eqx.field(static=True)

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that is read."""
        calls = [call for call in (self.first, self.step, self.carry) if call is not None]
        return tuple(dict.fromkeys(v for call in calls for v in call.variables if v not in (PREVIOUS, CARRY)))

    def rename(self, names: Mapping[str, str]) -> "SeriesSteps":
        carry = None if self.carry is None else self.carry.rename(names)
        each = tuple(names.get(name, name) for name in self.each)
        return SeriesSteps(self.step.rename(names), self.first.rename(names), carry, each, self.length)

    def start(self, values: Values) -> Any:
        """The distribution of the first value."""
        return self.first({**values, **{name: values[name][0] for name in self.each}})

    def start_carry(self, values: Values) -> Any:
        """The carry before the first step; None without one."""
        if self.carry is None:
            return None
        found = self.carry({**values, **{name: values[name][0] for name in self.each}})
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf, float)), found)

    def following(self, previous: Any, carry: Any, values: Values, rows: Values) -> tuple[Any, Any]:
        """The carry and the distribution of a value after `previous`."""
        found = self.step({**values, **rows, PREVIOUS: previous, CARRY: carry})
        if self.carry is None:
            return None, found
        after, distribution = found
        return jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), after, carry), distribution

    def rows(self, values: Values) -> dict[str, Any]:
        """What the steps after the first read row by row."""
        return {name: jnp.asarray(values[name])[1:] for name in self.each}


class Scan(Declared):
    """The conditional of a path given its parents.

    Attributes:
        child: the path, its first axis is time.
        steps: the calls.
        space: where the path lives.
        length: how many values it has.
        proper: False when the distribution of a value is declared improper.
        guarded: parameters that may leave their constraint, where the density is zero.
    """

    child: str = eqx.field(static=True)
    steps: SeriesSteps
    space: Space
    length: int = eqx.field(static=True)
    proper: bool = eqx.field(static=True, default=True)
    guarded: tuple[str, ...] = eqx.field(static=True, default=())

    @property
    def layout(self) -> Layout:
        return ((self.child, self.space),)

    @property
    def parents(self) -> tuple[str, ...]:
        return self.steps.variables

    @property
    def normalized(self) -> bool:
        return self.proper

    @property
    def limited(self) -> tuple[str, ...]:
        return self.guarded

    def log_density(self, values: Values) -> Float[Array, ""]:
        return jnp.sum(self.pointwise(values)[self.child])

    def pointwise(self, values: Values) -> dict[str, Array]:
        """The log-density of each value given the past; time is the first axis."""
        path = jnp.asarray(values[self.child])
        first = log_prob(self.steps.start(values), path[0], self.guarded)[None]
        if self.length == 1:
            return {self.child: first}
        inputs = (path[:-1], path[1:], self.steps.rows(values))
        if self.steps.carry is None:

            def term(previous: Array, value: Array, rows: Values) -> Array:
                _, distribution = self.steps.following(previous, None, values, rows)
                return log_prob(distribution, value, self.guarded)

            rest = jax.vmap(term)(*inputs)
        else:

            def advance(carry: Any, now: Any) -> tuple[Any, Array]:
                previous, value, rows = now
                carry, distribution = self.steps.following(previous, carry, values, rows)
                return carry, log_prob(distribution, value, self.guarded)

            _, rest = jax.lax.scan(advance, self.steps.start_carry(values), inputs)
        if first.ndim != rest.ndim:  # a vector of one law beside elements of their own
            first, rest = (jnp.sum(terms, axis=range(1, terms.ndim)) for terms in (first, rest))
        return {self.child: jnp.concatenate([first, rest])}

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        return {self.child: repeated(lambda key: self._path(key, values), key, shape)}

    def draw_after(self, key: Array, values: Values, before: Array) -> Array:
        """A path whose first values are known; the others are drawn step by step.

        Args:
            key: of the draw.
            values: the parents.
            before: the known values, at most as many as there are steps.
        """
        return self._path(key, values, before)

    def _path(self, key: Array, values: Values, before: Array | None = None) -> Array:
        """One path, step by step."""
        key_first, key_rest = jax.random.split(key)
        first = self.steps.start(values).sample(key_first)
        first = first if before is None else jnp.asarray(before[0], first.dtype)
        rest = jnp.zeros((0, *first.shape), first.dtype) if before is None else before[1:]
        forced = jnp.zeros((self.length - 1, *first.shape), first.dtype).at[: len(rest)].set(rest)

        def advance(state: Any, now: Any) -> tuple[Any, Array]:
            previous, carry = state
            step_key, rows, number, there = now
            carry, distribution = self.steps.following(previous, carry, values, rows)
            value = jnp.where(number < len(rest), there, jnp.asarray(distribution.sample(step_key), first.dtype))
            return (value, carry), value

        keys = jax.random.split(key_rest, self.length - 1)
        start = (first, self.steps.start_carry(values))
        steps = (keys, self.steps.rows(values), jnp.arange(self.length - 1), forced)
        _, path = jax.lax.scan(advance, start, steps, length=self.length - 1)
        return jnp.concatenate([first[None], path])

    def rename(self, names: Mapping[str, str]) -> "Scan":
        child = names.get(self.child, self.child)
        return dataclasses.replace(self, child=child, steps=self.steps.rename(names))
