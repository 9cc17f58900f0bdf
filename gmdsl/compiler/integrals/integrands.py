"""The integrands: a density, and functions times it, at many points; as logarithms of their sizes, and signs.

Logarithms, because far out a function may be 1e300 where the density is 1e-400. What is not a number counts as
nothing: far out, x underflows to the edge of its support before the Jacobian ends the integrand.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Function

CHUNK = 2048  # points evaluated side by side
AT_ONCE = 128  # such chunks in one call, of one number each
FEW = 1000  # points that tell at once that a function is not constant


class NoIntegralError(SpecError):
    """The integral does not seem to exist; no other method can find it either."""


class Coordinates(NamedTuple):
    """The coordinates: x = center + factor sinh(u), with u in the box from low to high.

    Attributes:
        top: logarithm of the unit in which the integrands are told.
    """

    center: Any
    factor: Any
    low: Any
    high: Any
    top: Any


class Sums(NamedTuple):
    """Integrals of all integrands, in units of exp(top): their values, those of their sizes, and errors.

    Attributes:
        value: of each.
        size: of its absolute value.
        error: of its value.
        top: logarithm of the unit.
        same: of each, over how many points it was one and the same multiple of the density; 0 where it was not.
    """

    value: np.ndarray
    size: np.ndarray
    error: np.ndarray
    top: float
    same: np.ndarray | int = 0


class Integrands:
    """The density of u, and each function times it.

    Attributes:
        target: the density.
        function: from a dict of named values to an array; None for the density alone.
        count: how many there are, the density itself first.
    """

    def __init__(self, target: FlatTarget, function: Function | None):
        self.target, self.function = target, function
        if function is None:
            self.count = 1
        else:
            x = jax.ShapeDtypeStruct((target.dim,), jnp.zeros(0).dtype)
            self.count = 1 + int(np.prod(jax.eval_shape(lambda x: jnp.asarray(function(target.named(x))), x).shape))

    def values(self, frame: Coordinates, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The logarithms of the sizes and the signs at points u of shape (n, dim); each of shape (n, count).

        They are transposes of arrays of shape (count, n), along whose rows NumPy is fast.
        """
        size = CHUNK * max(1, AT_ONCE // (self.count + u.shape[1]))
        logs, signs = np.empty((self.count, len(u))), np.empty((self.count, len(u)))
        held = np.zeros((size, u.shape[1]))
        for start in range(0, len(u), size):
            some = u[start : start + size]
            held = held if len(some) == size else held.copy()  # what was handed over may still be read
            held[: len(some)] = some
            whole = some if len(some) == size else held
            found = _evaluate(self.function, self.target, frame, np.asarray(len(some)), whole)
            logs[:, start : start + size], signs[:, start : start + size] = (
                np.asarray(f)[:, : len(some)] for f in found
            )
        return logs.T, signs.T

    def look(self, frame: Coordinates, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The logarithms, and whether each is a number; beyond one dimension all functions are one, the largest."""
        logs, signs = [], []
        for start in range(0, len(u), 16 * CHUNK):
            log, sign = self.values(frame, u[start : start + 16 * CHUNK])
            if self.target.dim > 1 and self.count > 2:
                log = np.stack([log[:, 0], log[:, 1:].max(axis=1)], axis=1)
                sign = np.stack([sign[:, 0], sign[:, 1:].max(axis=1)], axis=1)
            logs.append(log)
            signs.append(sign)
        log, valid = np.concatenate(logs), ~np.isnan(np.concatenate(signs))
        return np.where(valid, log, -np.inf), valid


def count_same(logs: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The `same` of `Sums`, from logarithms of sizes and signs at points; the density itself is not examined."""
    same, held = np.zeros(logs.shape[1], int), np.isfinite(logs[:, 0])
    for number in range(1, len(same)):
        for some in (held.nonzero()[0][:FEW], held):
            sign, size, height = signs[some, number], logs[some, number], logs[some, 0]
            with np.errstate(invalid="ignore"):
                constant = np.ptp(sign) == 0 and np.ptp(np.where(sign == 0, 0.0, size - height)) < 1e-9
            if not constant:
                break
        else:
            same[number] = held.sum()
    return same


def point(target: FlatTarget, frame: Coordinates, u: Array) -> tuple[Array, Array]:
    """The logarithm of the density of u, and x."""
    x = frame.center + frame.factor @ jnp.sinh(u)
    far = jnp.abs(u)  # log cosh u, where cosh u would overflow
    jacobian = jnp.sum(far + jnp.log1p(jnp.exp(-2.0 * far)) - jnp.log(2.0)) + jnp.linalg.slogdet(frame.factor)[1]
    return target.log_density(x) + jacobian, x


@functools.partial(jax.jit, static_argnums=0)
def _evaluate(
    function: Function | None, target: FlatTarget, frame: Coordinates, count: Array, u: Array
) -> tuple[Array, Array]:
    """Logarithms of sizes and signs of all integrands, at the first of so many points; transposed.

    The sign is NaN where there is no number. Chunks go through one loop, so that any number of points is one program.
    """

    def one(u: Array) -> tuple[Array, Array]:
        height, x = point(target, frame, u)
        bad = jnp.isnan(height) | (height == jnp.inf)
        height = jnp.where(bad, -jnp.inf, height)
        sizes = jnp.ones(1)
        if function is not None:
            values = jnp.ravel(jnp.asarray(function(target.named(x)), float))
            sizes = jnp.append(sizes, jnp.where(height == -jnp.inf, 0.0, values))
        wrong = bad | ~jnp.isfinite(sizes)
        logs = jnp.where(wrong | (sizes == 0), -jnp.inf, height + jnp.log(jnp.abs(sizes)))
        return logs, jnp.where(wrong, jnp.nan, jnp.sign(sizes))

    def more(number: Array, made: tuple[Array, Array]) -> tuple[Array, Array]:
        some = jax.vmap(one, out_axes=1)(jax.lax.dynamic_slice_in_dim(u, number * CHUNK, CHUNK))
        return jax.tree.map(lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, number * CHUNK, 1), made, some)

    start = jax.tree.map(lambda s: jnp.zeros((*s.shape, len(u)), s.dtype), jax.eval_shape(one, u[0]))
    return jax.lax.fori_loop(0, -(-count // CHUNK), more, start)
