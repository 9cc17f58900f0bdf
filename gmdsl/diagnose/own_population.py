r"""A population that a check carries by itself, from the prior of a conditioned joint density to its posterior.

Sequential Monte Carlo of a few hundred particles, in islands whose spread tells the error of any share of the mass.
Temperatures are chosen and particles are resampled here, and one small program moves them, so that little is compiled
and the clock is looked at between temperatures. The population is judged before it judges: where its islands or its
moves are in doubt, or where it takes too long, it says nothing of the chains.

Reference:
    Chopin, *A sequential particle filter method for static models*, Biometrika 89, 2002.
"""

import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from gmdsl.adapt.population import PopulationKernel, Tuning
from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_path import FlatPath, compile_path
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant
from gmdsl.inference.path import Path
from gmdsl.inference.weights import effective_size_on_host, normalized_weights, systematic
from gmdsl.models.model import Model
from gmdsl.paths.temper_data import temper_data
from gmdsl.results.reliability import doubt_of_walk
from gmdsl.samplers.hmc import HMC

PARTICLES = 500
ISLANDS = 10
MOVE = HMC(steps=4)
STEPS = 3  # transitions at each temperature
SHARE = 0.8  # of the particles that count after the weights of a temperature
MOST = 100  # temperatures
LONGER = 15  # times as many transitions at the target before a mode is believed
FEWEST = 10  # temperatures that a population is expected to need
SECONDS = 10.0  # that a population may take, besides compiling
EVALUATIONS = 40  # of the density with its gradient that the moves of one temperature take, by the time of the density


class OwnPopulation(NamedTuple):
    """Particles in the flat coordinates of a model.

    Attributes:
        x: flat vectors.
        log_weight: their log-weights, equal in each island.
        islands: independent populations of one size that they are made of, in this order.
        doubt: what speaks against them, in words; empty where nothing does.
    """

    x: Float[np.ndarray, "n dim"]
    log_weight: Float[np.ndarray, " n"]
    islands: int
    doubt: str


def path_of(model: Model) -> Path | None:
    """The path from the prior of a conditioned joint density; None where it has none."""
    if not model.observed:
        return None
    try:
        return temper_data(model)
    except SpecError:
        return None


def own_population(path: Path, density: Density, seed: int, *, longer: bool = False) -> OwnPopulation:
    """A population at the end of a path.

    Args:
        path: from a reference to the model.
        density: the compiled model.
        seed: of the population.
        longer: whether it is moved on at the target.
    """
    flat, rng, key = compile_path(path), np.random.default_rng([seed, 0]), jax.random.key(seed)
    move = Constant(MOVE.bound(density))
    x, ratio = _start(flat, jax.random.split(key, PARTICLES))
    if (seconds := _seconds(flat, x)) > SECONDS / FEWEST:
        return _nothing(x, f"one temperature takes about {seconds:.1f} s")
    tuning = PopulationKernel(move.value).start(flat.dim, x.dtype)
    level, beta, rates, late, started = np.zeros(ISLANDS), 0.0, [], 0, 0.0
    for number in range(MOST):
        if beta == 1.0 and late == (LONGER if longer else 0):
            return _finished(flat, density, x, level, np.array(rates))
        late += beta == 1.0
        ratio = np.nan_to_num(np.asarray(ratio, float), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        after = _following(ratio, level, beta)
        increment = np.where(ratio == -np.inf, -np.inf, (after - beta) * np.maximum(ratio, -1e300))
        weight = np.repeat(level, PARTICLES // ISLANDS) + increment
        if not np.isfinite(weight.max()):
            return _nothing(x, "no particle of the prior has any weight")
        chosen, grown = _resampled(rng, increment)
        level, beta = level + grown, after
        x, ratio, tuning, rate = _stage(
            move, jax.random.fold_in(key, number), flat, jnp.asarray(beta, x.dtype), tuning, x,
            jnp.asarray(weight - weight.max(), x.dtype), chosen,
        )  # fmt: skip
        rates.append(float(rate))
        started = started or time.perf_counter()  # the first one was compiled
        if time.perf_counter() - started > SECONDS:
            return _nothing(x, f"it takes more than {SECONDS:.0f} s")
    return _nothing(x, f"after {MOST} temperatures it had not arrived, at {beta:.2g}")


def _finished(flat: FlatPath, density: Density, x: Any, level: np.ndarray, rates: np.ndarray) -> OwnPopulation:
    """The population in the coordinates of the model, with what speaks against it."""
    log_weight = np.repeat(level, PARTICLES // ISLANDS)
    moved = np.asarray(_translate(flat, density.target, x), float)
    doubt = doubt_of_walk(log_weight, ISLANDS, rates)
    if not np.isfinite(moved).all():
        doubt = "particles lie on the border of the support"
    return OwnPopulation(moved, log_weight, ISLANDS, doubt)


def _nothing(x: Any, doubt: str) -> OwnPopulation:
    return OwnPopulation(np.asarray(x, float), np.full(len(x), -np.inf), ISLANDS, doubt)


def _following(ratio: np.ndarray, level: np.ndarray, beta: float) -> float:
    """The next beta: as far as a share of the particles counts."""
    most = effective_size_on_host(np.repeat(level - level.max(), PARTICLES // ISLANDS))
    within = np.repeat(level - level.max(), PARTICLES // ISLANDS)

    def spare(after: float) -> float:
        grown = np.where(ratio == -np.inf, -np.inf, (after - beta) * np.maximum(ratio, -1e300))
        return effective_size_on_host(within + grown) - SHARE * most

    if spare(1.0) >= 0.0:
        return 1.0
    least = beta + 1e-6 * (1.0 - beta)  # where particles without any density take the share, the first step is small
    return least if spare(least) <= 0.0 else float(brentq(spare, least, 1.0, xtol=1e-9))


def _resampled(rng: np.random.Generator, increment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which particles go on, island by island, and by how much the mean weight of each has grown."""
    within, grown, chosen = increment.reshape(ISLANDS, -1), np.empty(ISLANDS), []
    size = within.shape[1]
    for island, log_weight in enumerate(within):
        top = log_weight.max()
        dead = not np.isfinite(top)
        grown[island] = -np.inf if dead else top + np.log(np.exp(log_weight - top).mean())
        weight = np.full(size, 1.0 / size) if dead else normalized_weights(log_weight)
        chosen.append(island * size + systematic(weight, rng.uniform(), size))
    return np.concatenate(chosen), grown


def _seconds(flat: FlatPath, x: Any) -> float:
    """About how long the moves of one temperature take, by the time of the density itself."""
    start = time.perf_counter()
    jax.block_until_ready(_ratio(flat, x))
    return EVALUATIONS * (time.perf_counter() - start)


@jax.jit
def _ratio(path: FlatPath, x: Any) -> Any:
    return jax.vmap(path.log_ratio)(x)


def _start(path: FlatPath, keys: Any) -> Any:
    """Draws of the prior, and their log-likelihoods."""
    x = _drawn(path, keys)
    return x, _ratio(path, x)


@jax.jit
def _drawn(path: FlatPath, keys: Any) -> Any:
    return jax.vmap(path.draw)(keys)


@functools.partial(jax.jit, static_argnums=0)
def _stage(
    move: Constant, key: Any, path: FlatPath, beta: Any, tuning: Tuning, x: Any, log_weight: Any, chosen: Any
) -> Any:
    """Resampled particles after the moves of one temperature."""
    kernel = PopulationKernel(move.value)
    moved = kernel.moved(key, path.at(beta), kernel.scaled(tuning, x, log_weight), x[chosen], STEPS)
    return moved.x, jax.vmap(path.log_ratio)(moved.x), moved.tuning, moved.acceptance


@jax.jit
def _translate(path: FlatPath, target: Any, x: Any) -> Any:
    """Flat vectors of the reference as those of the model: the same values, perhaps in another order."""
    return jax.vmap(lambda x: target.unconstrain(path.reference.free_values(x)))(x)
