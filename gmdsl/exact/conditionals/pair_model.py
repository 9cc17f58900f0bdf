r"""The pairs of a density of few-valued variables, read off its traced program: the one reader of couplings.

Two kinds of programs are read. One that is a polynomial of the second degree, however it is written (a product with a
matrix, the square of a sum), has couplings by derivatives (`gmdsl.exact.conditionals.couplings`); one whose terms
contain two variables at most has tables by evaluation (`gmdsl.exact.conditionals.pair_tables`). What is neither is
no density of pairs, as far as the program tells.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.sparse import csr_array

from gmdsl.core.jaxprs.tape import Tape, is_known, traced
from gmdsl.exact.conditionals.couplings import Couplings, couplings, is_quadratic, known_couplings
from gmdsl.exact.conditionals.interactions import Interactions, interactions, without_constants
from gmdsl.exact.conditionals.local_terms import local_terms
from gmdsl.exact.conditionals.pair_tables import PairTables, pair_tables

type Values = tuple[tuple[int, float, float], ...]  # how many, the first, the gap, of each variable


def read_program(density: Callable[[Array], Array], values: Values, x: Array) -> tuple[Tape, Interactions | None]:
    """The program of a density and who interacts in it; None for the latter where that is too much.

    Args:
        density: the log-density of the vector, up to a constant; arrays that it closes over may be traced.
        values: of each variable.
        x: a point, for its shape and type.
    """
    program = traced(lambda v: density(v["x"]), {"x": x}, opaque=False)
    whole = all(float(first).is_integer() and float(gap).is_integer() for _, first, gap in values)
    found = interactions(program, whole)
    return program if found is None else without_constants(program, found, x), found


def read_couplings(program: Tape, found: Interactions | None, dtype: Any) -> Couplings | None:
    """The couplings of a program, as numbers where all that it closes over is known; None where it is not quadratic."""
    if found is None or not is_quadratic(found.dependences[program.output].degree):
        return None
    known = known_couplings(program, found.pairs, dtype)
    return couplings(program, found.pairs, dtype) if known is None else known


def read_tables(density: Callable[[Array], Array], values: Values, x: Array) -> PairTables | None:
    """The tables of a density; None where it is none of pairs, as far as its program tells.

    Arguments are those of `read_program`.

    >>> found = read_tables(lambda s: 0.5 * s[0] * s[1] + s[1], ((2, -1.0, 2.0),) * 2, jnp.zeros(2))
    >>> found.edges.tolist(), found.tables[0].tolist()
    ([[0, 1]], [[0.5, -0.5], [-0.5, 0.5]])
    """
    program, found = read_program(density, values, x)
    numbers = read_couplings(program, found, x.dtype)
    if numbers is None:
        return pair_tables(local_terms(program, found), found, values, x.dtype)
    assert found is not None
    return tables_of_couplings(numbers, found.pairs, values)


def tables_of_couplings(found: Couplings, pairs: csr_array, values: Values) -> PairTables:
    """The tables of a quadratic density.

    Args:
        found: its numbers.
        pairs: which variables interact.
        values: of each variable.
    """
    if all(is_known(number) for number in found):
        with jax.ensure_compile_time_eval():
            return _tabulated(found, pairs, values)
    return _tabulated(found, pairs, values)


def _tabulated(found: Couplings, pairs: csr_array, values: Values) -> PairTables:
    counts, first, gap = (np.array(column) for column in zip(*values, strict=True))
    number, dtype = np.arange(counts.max()), found.linear.dtype
    points = jnp.asarray(first[:, None] + gap[:, None] * np.minimum(number, counts[:, None] - 1), dtype)
    rows, columns = np.repeat(np.arange(len(first)), np.diff(pairs.indptr)), pairs.indices
    own, upper = np.flatnonzero(rows == columns), np.flatnonzero(rows < columns)
    curved = jnp.zeros(len(first), dtype).at[rows[own]].add(found.values[own])
    fields = jnp.asarray(found.linear)[:, None] * points + 0.5 * curved[:, None] * points**2
    i, j = rows[upper], columns[upper]
    tables = found.values[upper][:, None, None] * points[i][:, :, None] * points[j][:, None, :]
    return PairTables(np.stack([i, j], 1), jnp.where(number >= counts[:, None], -jnp.inf, fields), tables)
