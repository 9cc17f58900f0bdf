r"""The couplings and fields of a density that is quadratic in variables of two values, by derivatives.

$\log p(x) = \mathrm{const} + b^\top x + \tfrac12 x^\top J x$. The traced program says that this is so, and which
$J_{ij}$ may differ from zero; their values are second derivatives. Columns of J that share no row are found by one
derivative of the gradient along their sum. The odds of the two values a and b of one variable are

$$\log \frac{p(x_i = b \mid x_{-i})}{p(x_i = a \mid x_{-i})}
  = (b - a) \Bigl( b_i + \sum_{j \neq i} J_{ij} x_j + J_{ii} \frac{a + b}{2} \Bigr).$$

Reference:
    Coleman and Moré, *Estimation of sparse Hessian matrices and graph coloring problems*, Math.
    Programming, 1984.
"""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse import csr_array

from gmdsl.core.jaxprs.tape import Tape, is_known
from gmdsl.exact.conditionals.as_floats import run_as_floats
from gmdsl.exact.conditionals.colouring import colouring
from gmdsl.exact.conditionals.dependence import TooManyError, product

DENSE = 0.25  # share of directions, of all columns, from which on they are found one by one


class Couplings(NamedTuple):
    """Numbers of a quadratic density.

    Attributes:
        linear: its gradient at zero.
        values: second derivatives of the pairs that may interact, in the order of `pairs`; both halves, and
            the diagonal.
    """

    linear: Float[Array, " dim"]
    values: Float[Array, " pairs"]


def is_quadratic(degree: np.ndarray) -> bool:
    """Whether a result is a polynomial of at most the second degree."""
    return bool(degree.max(initial=0) <= 2)


def couplings(program: Tape, pairs: csr_array, dtype: Any) -> Couplings:
    """The numbers of a quadratic program of one vector; arrays that it closes over may be traced.

    >>> import jax.numpy as jnp
    >>> from gmdsl.core.jaxprs.tape import traced
    >>> from gmdsl.exact.conditionals.interactions import interactions
    >>> found = traced(lambda v: 3.0 * v["s"][0] * v["s"][1] + v["s"][1], {"s": jnp.zeros(2)})
    >>> linear, values = couplings(found, interactions(found).pairs, jnp.float32)
    >>> linear.tolist(), values.tolist()
    ([0.0, 1.0], [3.0, 3.0])
    """
    group, points = _points(pairs, dtype)
    # Behind a barrier: XLA would multiply large matrices that it knows while it compiles, at a snail's pace.
    return _derivatives(program, pairs, group, program.values, *jax.lax.optimization_barrier(points))


def known_couplings(program: Tape, pairs: csr_array, dtype: Any) -> Couplings | None:
    """The same as numbers, where nothing that the program closes over is traced; else None."""
    if not all(is_known(value) for value in program.values.values()):
        return None
    with jax.ensure_compile_time_eval():  # what is no argument would be computed step by step
        group, points = _points(pairs, dtype)
        return jax.jit(functools.partial(_derivatives, program, pairs, group))(program.values, *points)


def _points(pairs: csr_array, dtype: Any) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """For each column the number of its direction, where derivatives are taken, and the directions."""
    group = _directions(pairs)
    seeds = np.asarray(group == np.arange(group.max(initial=0) + 1)[:, None], dtype)
    return group, (np.zeros(len(group), dtype), seeds)


def _derivatives(
    program: Tape, pairs: csr_array, group: np.ndarray, values: dict[int, Any], zero: Array, seeds: Array
) -> Couplings:
    """The gradient at zero, and second derivatives of all pairs."""
    (vector,), steps = program.inputs.values(), program.needed(program.output)
    program, count = program._replace(values=values), len(zero)

    def value(x: Array) -> Array:
        return run_as_floats(program, steps, {vector: x}, program.output, zero.dtype)

    slope = jax.grad(value)
    found = jax.vmap(lambda seed: jax.jvp(slope, (zero,), (seed,))[1])(seeds)
    rows = np.repeat(np.arange(count), np.diff(pairs.indptr))
    return Couplings(slope(zero), found[group[pairs.indices], rows])


def _directions(pairs: csr_array) -> np.ndarray:
    """For each column the number of the direction that it is found by; columns of one direction share no row."""
    count = pairs.shape[0]
    if pairs.nnz > DENSE * count**2:
        return np.arange(count)
    try:
        groups = colouring(product(pairs, pairs), tries=0)
    except TooManyError:
        return np.arange(count)
    found = np.zeros(count, int)
    for number, group in enumerate(groups):
        found[group] = number
    return found
