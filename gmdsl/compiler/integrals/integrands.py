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
        """The logarithms of the sizes and the signs at points u of shape (n, dim); each of shape (n, count)."""
        logs, signs = np.empty((len(u), self.count)), np.empty((len(u), self.count))
        for start in range(0, len(u), CHUNK):
            some = u[start : start + CHUNK]
            padded = np.concatenate([some, np.repeat(some[-1:], CHUNK - len(some), axis=0)])
            found = _evaluate(self.function, self.target, frame, jnp.asarray(padded))
            logs[start : start + CHUNK], signs[start : start + CHUNK] = (np.asarray(f)[: len(some)] for f in found)
        return logs, signs

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
    held = np.isfinite(logs[:, 0])
    signs, ratio = signs[held], np.where(signs[held] == 0, 0.0, logs[held] - logs[held, :1])
    with np.errstate(invalid="ignore"):
        same = (np.ptp(signs, axis=0) == 0) & (np.ptp(ratio, axis=0) < 1e-9)
    return np.where(same & (np.arange(same.size) > 0), held.sum(), 0)


def point(target: FlatTarget, frame: Coordinates, u: Array) -> tuple[Array, Array]:
    """The logarithm of the density of u, and x."""
    x = frame.center + frame.factor @ jnp.sinh(u)
    far = jnp.abs(u)  # log cosh u, where cosh u would overflow
    jacobian = jnp.sum(far + jnp.log1p(jnp.exp(-2.0 * far)) - jnp.log(2.0)) + jnp.linalg.slogdet(frame.factor)[1]
    return target.log_density(x) + jacobian, x


@functools.partial(jax.jit, static_argnums=0)
def _evaluate(function: Function | None, target: FlatTarget, frame: Coordinates, u: Array) -> tuple[Array, Array]:
    """Logarithms of sizes and signs of all integrands at points; the sign is NaN where there is no number."""

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

    return jax.vmap(one)(u)
