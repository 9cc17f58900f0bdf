"""Points at which a model is tried before it is sampled: random starts, and lines that lead away from them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_target import CACHED, FlatTarget, numbers_of, over_points
from gmdsl.models.model import Model

RADIUS = 2.0  # as the starts of gm.sample
BATCH = 128  # points that are evaluated together at most
LEAST = 16  # at least
WORK = 2**30  # numbers of a model that a check reads: 500 evaluations of a regression on a million rows

SEE_STARTS = 'Where the log-density is not finite, and in which factor, tells the finding "starts" of gm.lint(model).'


def starts(dim: int, count: int, seed: int = 0) -> Float[np.ndarray, "count dim"]:
    """Random unconstrained points, where `gm.sample` would start its chains."""
    return np.random.default_rng([seed, dim]).uniform(-RADIUS, RADIUS, (count, dim))


def log_densities(model: Model, x: np.ndarray, *, double: bool = True) -> np.ndarray:
    """Flat log-densities at points, (points, dim), in double or single precision."""
    return _evaluate(FlatTarget.log_density, model, x, double)


def scores(model: Model, x: np.ndarray, *, double: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Flat log-densities and scores at points."""
    return _evaluate(FlatTarget.log_density_and_score, model, x, double)


def _evaluate(function: Any, model: Model, x: np.ndarray, double: bool) -> Any:
    """A function of flat points in batches of few sizes, so that it compiles few times; one where each costs much."""
    with jax.enable_x64(double):
        target, dtype = Density(model).target, np.float64 if double else np.float32
        enough = 2 ** int(np.ceil(np.log2(max(len(x), LEAST))))
        size = LEAST if numbers_of(target) >= CACHED else min(BATCH, enough)
        padded = np.concatenate([x, np.repeat(x[-1:], -len(x) % size, axis=0)])
        batches = [jnp.asarray(padded[i : i + size], dtype) for i in range(0, len(padded), size)]
        parts = [over_points(function, target, batch) for batch in batches]
    return jax.tree.map(lambda *p: np.concatenate([np.asarray(a, float) for a in p])[: len(x)], *parts)


def affordable(target: FlatTarget, most: int, least: int) -> int:
    """So many points that their evaluations read `WORK` numbers of a model; `most` unless it holds very many."""
    return max(least, min(most, WORK // max(numbers_of(target), 1)))
