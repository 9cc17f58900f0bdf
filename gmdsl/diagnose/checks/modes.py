r"""The mode audit: is there mass where the chains have no draws?

Chains that start in one basin agree with each other, mix well inside it and satisfy Stein's identity; nothing in
them tells of the other basin. An independent population does: particles drawn from a reference that covers the
target and carried to it along the tempered path, with weights. For every particle the distance to the
nearest draw is taken, in units of the spread of both. Its yardstick is the same distance for draws held out
from the chains: the weighted share of particles beyond the 99th percentile of these is 1 % where the
two agree.

A joint density that is conditioned on data brings a reference of its own, its prior. That population is small and says
nothing where it is in doubt itself; what it finds counts once a second one, moved on at the target for longer, has
found it again: an isolated mode stays, a particle that was left behind does not.

It sees what the reference reaches, not more. Where the weights collapse, or the chains have draws that no particle
comes near, that is said instead.

Reference:
    Neal, *Annealed importance sampling*, 2001; Friedman and Rafsky, *Multivariate generalizations of the
    Wald-Wolfowitz and Smirnov two-sample tests*, 1979 (nearest neighbours).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_path import compile_path
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant
from gmdsl.diagnose.own_population import own_population, path_of
from gmdsl.diagnose.positions import Positions, coordinates
from gmdsl.diagnose.report import Finding, percent
from gmdsl.inference.path import Path
from gmdsl.inference.weights import effective_size_on_host, normalized_weights
from gmdsl.models.model import Model
from gmdsl.paths.ais import AIS
from gmdsl.paths.temper import temper
from gmdsl.results.reliability import pareto_k
from gmdsl.samplers.mala import MALA

PARTICLES = 1000
TEMPERATURES = (50, 300)  # a short run; a longer one where its weights collapse
HEAVY = 0.7  # Pareto k of the weights
LEAST = 50.0  # particles that must count
DRAWS = 2000  # draws that distances are taken to
BEYOND = 0.01  # share of held-out draws farther than the yardstick
LEAST_SHARE = 0.02  # share above the expected one that is called a mode
ERRORS = 4.0  # standard errors above the expected share

TAKE_TIME = "gm.check(tree, gm.temper_data(model)) takes all the time that it needs; or pass a closer reference."
FAR = "Longer chains will not cross: start chains there (init=), or use a tempered path, gm.AIS or another reference."


def modes(model: Model, reference: Model | None, found: Positions, seed: int = 0) -> Finding:
    """The finding "mode audit"."""
    if reference is None:
        own = path_of(model) if found.log_weight is None else None
        if own is not None:
            return _by_itself(own, Density(model), found, seed)
        if found.log_weight is not None and path_of(model) is not None:
            return Finding("mode audit", "note", "not examined: the draws are a population themselves", "")
        advice = "Pass reference=, a normalised model of the same variables that covers the target widely."
        return Finding("mode audit", "note", "not examined: no reference was given", advice)
    try:
        path = temper(model, reference)
    except SpecError as error:
        raise SpecError(f"check(reference=...): {error}") from None
    density = Density(model)
    for temperatures in TEMPERATURES:
        particles, log_weight = _population(path, density, temperatures, seed)
        size, k = effective_size_on_host(log_weight), pareto_k(log_weight)
        if size >= LEAST and not k > HEAVY:
            return _compare(found, particles, log_weight, coordinates(density))
    heavy = f", Pareto k {k:.2f}" if np.isfinite(k) else ""
    evidence = f"not examined: {size:.0f} of {PARTICLES} particles from the reference count{heavy}"
    return Finding("mode audit", "note", evidence, "Pass a reference that is closer to the target and covers it.")


def _by_itself(path: Path, density: Density, found: Positions, seed: int) -> Finding:
    """The finding of a small population from the prior; a second one is asked before a mode is called missed."""
    for longer in (False, True):
        own = own_population(path, density, seed + longer, longer=longer)
        if own.doubt:
            evidence = f"not examined: the population that was carried from the prior is in doubt: {own.doubt}"
            return Finding("mode audit", "note", evidence, TAKE_TIME)
        finding = _compare(found, own.x, own.log_weight, coordinates(density), own.islands)
        if finding.status != "suspect":
            break
    return finding


def _population(path: Any, density: Density, temperatures: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weighted particles in the flat coordinates of the model."""
    sampler = AIS(MALA(), particles=PARTICLES, temperatures=temperatures)
    flat = compile_path(path)
    population = _run(Constant(sampler), jax.random.key(seed), flat)
    here, there = flat.reference, density.target
    moved = _translate(here, there, population.position)
    x, log_weight = np.asarray(moved, float), np.asarray(population.log_weight, float)
    good = np.isfinite(x).all(axis=1) & ~np.isnan(log_weight)
    return x[good], log_weight[good]


@functools.partial(jax.jit, static_argnums=0)
def _run(sampler: Constant, key: jax.Array, path: Any) -> Any:
    return sampler.value.run(key, path)


@jax.jit
def _translate(old: FlatTarget, new: FlatTarget, x: Any) -> Any:
    """Flat vectors of the reference as flat vectors of the model: the same values, perhaps in another order."""
    return jax.vmap(lambda x: new.unconstrain(old.free_values(x)))(jnp.asarray(x))


def _compare(
    found: Positions, particles: np.ndarray, log_weight: np.ndarray, names: list[str], groups: int = 0
) -> Finding:
    """Distances of particles to draws, and of draws to particles; of so many independent groups of particles."""
    first, second = _halves(found)
    weight = normalized_weights(log_weight)
    share, error, far = beyond(first, second, particles, weight, groups)
    uncovered = _share_uncovered(particles, weight, np.concatenate([first, second]))
    size = 1.0 / (weight**2).sum()
    if share - BEYOND > max(LEAST_SHARE, ERRORS * error):
        rng = np.random.default_rng(0)
        where = np.median(particles[far][rng.choice(far.sum(), 1000, p=weight[far] / weight[far].sum())], axis=0)
        place = ", ".join(f"{name} {value:.3g}" for name, value in list(zip(names, where, strict=True))[:3])
        place += ", ..." if len(names) > 3 else ""
        evidence = f"{percent(share)} +- {percent(error)} of the mass lies where no chain has draws, around {place}"
        return Finding("mode audit", "suspect", evidence, FAR)
    if uncovered > 2.0 * LEAST_SHARE + BEYOND:
        evidence = f"not examined: the particles come near {percent(1.0 - uncovered)} of the draws only"
        return Finding("mode audit", "note", evidence, "The reference does not cover the target: pass a wider one.")
    evidence = (
        f"{percent(share)} of a population of {size:.0f} is farther from the draws than {percent(BEYOND)} of these"
    )
    evidence += f"; modes below {percent(max(LEAST_SHARE, ERRORS * error))} would pass"
    return Finding("mode audit", "ok", evidence)


def beyond(
    base: Float[np.ndarray, "n dim"],
    held: Float[np.ndarray, "m dim"],
    particles: Float[np.ndarray, "k dim"],
    weight: Float[np.ndarray, " k"],
    groups: int = 0,
) -> tuple[float, float, np.ndarray]:
    """Weighted share of particles farther from the base than 99 % of held-out draws, its error, and which.

    Particles of one group may be copies of each other; with no groups each is on its own.

    >>> rng = np.random.default_rng(0)
    >>> base, held, other = rng.normal(size=(3, 500, 1))
    >>> other[:150] += 20.0
    >>> share, error, far = beyond(base, held, other, np.full(500, 1 / 500))
    >>> bool(abs(share - 0.3) < 4 * error), round(float(other[far].mean()))
    (True, 20)
    """
    from scipy.spatial.distance import cdist

    scale = np.concatenate([base, particles]).std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    usual = cdist(held / scale, base / scale).min(axis=1)
    away = cdist(particles / scale, base / scale).min(axis=1)
    far = away > np.quantile(usual, 1.0 - BEYOND)
    share = float(weight[far].sum())
    gaps = weight * (far - share)
    gaps = gaps.reshape(groups, -1).sum(axis=1) * np.sqrt(groups / (groups - 1)) if groups else gaps
    error = (gaps**2).sum() + 5.0 * BEYOND / len(held)  # held-out draws are correlated
    return share, float(np.sqrt(error)), far


def _share_uncovered(particles: np.ndarray, weight: np.ndarray, draws: np.ndarray) -> float:
    """Share of draws farther from the particles than 99 % of other particles."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(np.unique(rng.choice(len(particles), size=len(particles), p=weight)))
    half = len(chosen) // 2
    base, held = particles[chosen[:half]], particles[chosen[half:]]
    return beyond(base, held, draws, np.full(len(draws), 1.0 / len(draws)))[0]


def _halves(found: Positions) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the first halves of the chains, and of the second; weighted ones resampled, each once."""
    dim = found.x.shape[-1]
    if found.log_weight is not None:
        rng = np.random.default_rng(0)
        weight = np.exp(found.log_weight.ravel() - np.nanmax(found.log_weight))
        weight = np.nan_to_num(weight) / np.nansum(weight)
        chosen = rng.permutation(np.unique(rng.choice(weight.size, size=min(DRAWS, weight.size), p=weight)))
        return tuple(np.array_split(found.x.reshape(-1, dim)[chosen].astype(float), 2))
    x = found.thinned(DRAWS).x.astype(float)
    half = x.shape[1] // 2
    return x[:, :half].reshape(-1, dim), x[:, half:].reshape(-1, dim)
