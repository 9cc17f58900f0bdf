r"""Minibatches: the log-density of a model estimated from a random part of its rows.

The program of n of the N rows is built once (`gmdsl.core.part`); a step gathers the rows of the arrays of the whole
and evaluates that. Whether the terms of rows are a sum of terms of single rows is checked once with numbers: on a
partition of the rows into parts they must add up to the whole. Everything that depends on data alone is computed again
for each batch where it reads rows.

Reference:
    Welling and Teh, *Bayesian learning via stochastic gradient Langevin dynamics*, 2011.
"""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from gmdsl.compiler.program import FlatTarget, Hoisted, Leaves, Program, split
from gmdsl.core.density import Target
from gmdsl.core.errors import SpecError
from gmdsl.core.factor import Deterministic
from gmdsl.core.part import holds_rows, part
from gmdsl.core.rows import Rows, rows_of
from gmdsl.core.rule import reads_of
from gmdsl.core.states import states_of
from gmdsl.core.subset import subset

POINTS = 4  # at which the terms of parts are added up
CLOSE = 1e-5  # relative: functions that round to single precision inside pass, what couples rows does not


@dataclass(frozen=True)
class Minibatches:
    """How a target of some rows is made of the target of all.

    Attributes:
        program: the model of `size` rows, their terms raised to the power rows / size.
        holds_rows: which of the arrays of the model have the rows along their first axis.
        kept: computed values that read no rows: those of the whole are used.
        rows: how many rows there are.
        size: rows in a batch.
    """

    program: Program
    holds_rows: tuple[bool, ...]
    kept: tuple[str, ...]
    rows: int
    size: int

    def draw(self, key: Array, whole: FlatTarget) -> FlatTarget:
        """The target of a random batch, drawn without replacement."""
        return self.of(whole, subset(key, self.rows, self.size))

    def of(self, whole: FlatTarget, chosen: Int[Array, " size"]) -> FlatTarget:
        """The target of the rows of these numbers."""
        leaves = _gathered(self.holds_rows, whole.leaves, chosen)
        hoisted = {**self.program.hoist(leaves), **{name: whole.hoisted[name] for name in self.kept}}
        return FlatTarget(self.program, leaves, hoisted)


def minibatches(operation: str, model: Any, rows: str | tuple[str, ...] | None, size: int) -> Minibatches:
    """Minibatches of a model.

    Args:
        operation: what the user called, for messages.
        model: the conditioned model.
        rows: the dimension or the arrays that hold the rows (`gmdsl.core.rows.rows_of`).
        size: rows in a batch.

    Raises:
        SpecError: rows that are not named or differ in length, a batch larger than all, a free variable with an
            element per row, a term that is not a sum over rows or that cannot be made smaller.

    >>> import gmdsl as gm, jax, numpy as np, numpyro.distributions as dist
    >>> model = gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(mu, 1.0).expand([4]))
    >>> posterior = model.condition(y=np.arange(4.0))
    >>> batches = minibatches("doctest", posterior, "y", 2)
    >>> target = gm.compile(posterior).target
    >>> halves = [batches.of(target, np.array(rows)).score(np.zeros(1)) for rows in ([0, 1], [2, 3])]
    >>> float((halves[0] + halves[1])[0] / 2), float(target.score(np.zeros(1))[0])
    (6.0, 6.0)
    """
    found = rows_of(operation, model, rows)
    if size > found.count:
        raise SpecError(
            f"{operation}: {', '.join(found.names)} have {found.count} rows. Take at most that many, or leave batch_size"
            " out for all of them."
        )
    small = part(operation, model, found, size)
    _check_sum(operation, model, found, size)
    touched = reads_of(model, found.names)
    program, _ = split(small)
    fixed = [small.factors[index] for index in program.plan.fixed]
    kept = tuple(sorted(f.child for f in fixed if isinstance(f, Deterministic) and f.child not in touched))
    return Minibatches(program, holds_rows(model, found), kept, found.count, size)


def bound(sampler: Any, density: Any) -> Any:
    """A sampler with settings `batch_size`, `rows` and `batches`, with the minibatches of a model."""
    if sampler.batch_size is None:
        return sampler
    made = minibatches(_title(sampler), density.model, sampler.rows, sampler.batch_size)
    return dataclasses.replace(sampler, batches=made)


def seen(sampler: Any, key: Array, target: Target) -> Target:
    """What such a sampler sees in one evaluation: the target, or that of a random batch.

    Raises:
        SpecError: a batch size, and no model was bound.
    """
    if sampler.batch_size is None:
        return target
    if sampler.batches is None:
        raise SpecError(f"{_title(sampler)}: batches are taken by gm.sample on a model. Leave batch_size out here.")
    return target.minibatch(key, sampler.batches)


def check_batch(sampler: Any) -> None:
    """Refuses a batch size that is no number of rows, and rows without one.

    Raises:
        SpecError: names the class and the setting.
    """
    name, size = type(sampler).__name__, sampler.batch_size
    if size is None and sampler.rows is not None:
        raise SpecError(f"{name}(rows={sampler.rows!r}): no batch_size was given. Say how many rows a step sees.")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise SpecError(f"{name}(batch_size={size!r}): a whole number of at least 1 is needed.")


def as_names(rows: Any) -> Any:
    """A dimension or a name as it is, several names as a tuple."""
    return rows if rows is None or isinstance(rows, str) else tuple(rows)


def _title(sampler: Any) -> str:
    return f"{type(sampler).__name__}(batch_size={sampler.batch_size})"


def _gathered(marks: tuple[bool, ...], leaves: Leaves, chosen: Array) -> Leaves:
    return tuple(leaf[chosen] if mark else leaf for leaf, mark in zip(leaves, marks, strict=True))


def _check_sum(operation: str, model: Any, rows: Rows, size: int) -> None:
    """Refuses a model whose terms of parts of the rows do not add up to those of all, in double precision."""
    with jax.enable_x64(True):
        program, leaves = split(model)
        hoisted = program.jit_hoist(leaves) if program.plan.fixed else {}
        values = _points(program, leaves, hoisted)
        whole = _whole_terms(program, rows.factors, leaves, hoisted, values)
        total, scale = jnp.zeros_like(whole), jnp.zeros_like(whole)
        order = np.random.default_rng(0).permutation(rows.count)
        marks = holds_rows(model, rows)
        rest = rows.count % size
        for number, blocks in ((size, order[: rows.count - rest]), (rest, order[rows.count - rest :])):
            if number:
                piece, _ = split(part(operation, model, rows, number))
                found = _part_terms(piece, rows, marks, leaves, jnp.asarray(blocks.reshape(-1, number)), values)
                total, scale = total + found[0], scale + found[1]
    whole, total, scale = (np.asarray(array) for array in (whole, total, scale))
    gap = np.abs(whole - total) - CLOSE * (np.abs(whole) + scale)  # NaN where a point has no finite density
    bad = np.argwhere(gap > 0)
    if bad.size:
        at, which = bad[0]
        raise SpecError(
            f"{operation}: {model.factors[rows.factors[which]].name} is not a sum over rows: on parts of the rows it is"
            f" {total[at, which]:.6g} in all, on the whole {whole[at, which]:.6g}. Declare priors as terms of their own,"
            " compute what rows share beforehand (gm.data), or leave batch_size out."
        )


def _points(program: Program, leaves: Leaves, hoisted: Hoisted) -> Any:
    """Random points: uniform on (-2, 2) in unconstrained coordinates, discrete ones at any of their values."""
    u = jax.random.uniform(jax.random.key(0), (POINTS, program.plan.dim))
    x = 4.0 * u - 2.0
    for slot in program.plan.slots:
        states = states_of(slot.space) or ((2, 0.0, 1.0) if slot.space.discrete else None)
        if states:
            count, first, gap = states
            x = x.at[:, slot.start : slot.stop].set(first + gap * jnp.floor(count * u[:, slot.start : slot.stop]))
    values = jax.vmap(lambda x: program.constrain(leaves, hoisted, x))(x)
    return {name: values[name] for name in program.free}


@functools.partial(jax.jit, static_argnums=(0, 1))
def _whole_terms(program: Program, factors: tuple[int, ...], leaves: Leaves, hoisted: Hoisted, values: Any) -> Array:
    """Terms of some factors, (points, factors); zero for those that are constant."""
    return jax.vmap(lambda point: _terms(program, factors, leaves, hoisted, point))(values)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _part_terms(
    program: Program, rows: Rows, marks: tuple[bool, ...], leaves: Leaves, blocks: Array, values: Any
) -> tuple[Array, Array]:
    """Terms of parts, not raised, added up, and their magnitudes: (points, factors) each."""

    def one(chosen: Array) -> Array:
        some = _gathered(marks, leaves, chosen)
        hoisted = program.hoist(some)
        terms = jax.vmap(lambda point: _terms(program, rows.factors, some, hoisted, point))(values)
        return terms * (blocks.shape[1] / rows.count)

    def add(at: Any, chosen: Array) -> Any:
        terms = one(chosen)
        return (at[0] + terms, at[1] + jnp.abs(terms)), None

    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(one, blocks[0]))
    return jax.lax.scan(add, (zero, zero), blocks)[0]


def _terms(program: Program, factors: tuple[int, ...], leaves: Leaves, hoisted: Hoisted, values: Any) -> Array:
    """Terms of some factors at one point."""
    terms = program.terms(leaves, hoisted, values)
    found = [terms.get(program.factor_names[index], jnp.zeros(())) for index in factors]
    return jnp.stack([jnp.asarray(term, float) for term in found])
