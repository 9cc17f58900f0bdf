r"""Are the terms of rows a sum over rows? Otherwise a part of the rows says nothing of the whole.

The rows are cut into parts at random, and at random points the terms of the parts must add up to those of all,
$\sum_k \ell(S_k) = \ell(S_1 \cup S_2 \cup \ldots)$, in double precision. A mean over rows inside the model, a
Gaussian process over rows or a prior inside an energy of data fails.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.minibatch.rows import Rows
from gmdsl.compiler.minibatch.subsampled import holds_rows, part
from gmdsl.compiler.program import Leaves, Program, program_of
from gmdsl.core.errors import SpecError
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.spaces.states import states_of

POINTS = 4  # at which the terms of parts are added up
CLOSE = 1e-5  # relative: functions that round to single precision inside pass, what couples rows does not


def check_sum(operation: str, model: FactorGraph, rows: Rows, size: int) -> None:
    """Refuses a model whose terms of parts of the rows do not add up to those of all, in double precision."""
    with jax.enable_x64(True):
        target = FlatTarget.of(model)
        values = _points(target)
        whole = _whole_terms(rows.factors, target, values)
        total, scale = jnp.zeros_like(whole), jnp.zeros_like(whole)
        order = np.random.default_rng(0).permutation(rows.count)
        marks = holds_rows(model, rows)
        rest = rows.count % size
        for number, blocks in ((size, order[: rows.count - rest]), (rest, order[rows.count - rest :])):
            if number:
                piece, _ = program_of(part(operation, model, rows, number))
                found = _part_terms(piece, rows, marks, target.leaves, jnp.asarray(blocks.reshape(-1, number)), values)
                total, scale = total + found[0], scale + found[1]
    whole, total, scale = (np.asarray(array) for array in (whole, total, scale))
    gap = np.abs(whole - total) - CLOSE * (np.abs(whole) + scale)  # NaN where a point has no finite density
    bad = np.argwhere(gap > 0)
    if bad.size:
        at, which = bad[0]
        raise SpecError(
            f"{operation}: {model.factors[rows.factors[which]].name} is not a sum over rows: parts of the rows give"
            f" {total[at, which]:.6g} in all, the whole {whole[at, which]:.6g}. Declare priors as terms of their own,"
            " compute what rows share beforehand (gm.data), or leave batch_size out."
        )


def gathered(marks: tuple[bool, ...], leaves: Leaves, chosen: Array) -> Leaves:
    """The arrays of a model with some of the rows of those that hold rows.

    >>> gathered((True, False), (jnp.arange(4), jnp.arange(2)), jnp.array([3, 1]))[0].tolist()
    [3, 1]
    """
    return tuple(leaf[chosen] if mark else leaf for leaf, mark in zip(leaves, marks, strict=True))


def _points(target: FlatTarget) -> Any:
    """Random points: uniform on (-2, 2) in unconstrained coordinates, discrete ones at any of their values."""
    u = jax.random.uniform(jax.random.key(0), (POINTS, target.dim))
    x = 4.0 * u - 2.0
    for slot in target.slots:
        states = states_of(slot.space) or ((2, 0.0, 1.0) if slot.space.discrete else None)
        if states:
            count, first, gap = states
            x = x.at[:, slot.start : slot.stop].set(first + gap * jnp.floor(count * u[:, slot.start : slot.stop]))
    return jax.vmap(target.free_values)(x)


@functools.partial(jax.jit, static_argnums=0)
def _whole_terms(factors: tuple[int, ...], target: FlatTarget, values: Any) -> Array:
    """Terms of some factors, (points, factors); zero for those that are constant."""
    return jax.vmap(lambda point: _terms(target, factors, point))(values)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _part_terms(
    program: Program, rows: Rows, marks: tuple[bool, ...], leaves: Leaves, blocks: Array, values: Any
) -> tuple[Array, Array]:
    """Terms of parts, not raised, added up, and their magnitudes: (points, factors) each."""

    def one(chosen: Array) -> Array:
        some = gathered(marks, leaves, chosen)
        target = FlatTarget(program, some, program.hoist(some))
        terms = jax.vmap(lambda point: _terms(target, rows.factors, point))(values)
        return terms * (blocks.shape[1] / rows.count)

    def add(at: Any, chosen: Array) -> Any:
        terms = one(chosen)
        return (at[0] + terms, at[1] + jnp.abs(terms)), None

    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(one, blocks[0]))
    return jax.lax.scan(add, (zero, zero), blocks)[0]


def _terms(target: FlatTarget, factors: tuple[int, ...], values: Any) -> Array:
    """Terms of some factors at one point."""
    terms = target.terms(values)
    found = [terms.get(target.program.factor_names[index], jnp.zeros(())) for index in factors]
    return jnp.stack([jnp.asarray(term, float) for term in found])
