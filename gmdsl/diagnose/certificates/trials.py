"""Trials: a sampler on targets that are drawn from exactly; tuned once by its own warm-up, then frozen.

The draws that the tests start from have other keys than the warm-up, so that the frozen settings are constants to
them and the tests stay exact. The kernel is the driver's own (`gmdsl.run.chains.kernel`), without its adapters.
"""

import dataclasses
import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_target import FlatTarget, over_points
from gmdsl.core.errors import SpecError
from gmdsl.diagnose.certificates.statistics import Law, law_of
from gmdsl.inference.adapter import adapters_of
from gmdsl.inference.sampler import Sampler
from gmdsl.models.model import Model
from gmdsl.run.chains.batching import choose_mode
from gmdsl.run.chains.block import run_block, start_chains
from gmdsl.run.chains.kernel import Kernel
from gmdsl.run.chains.loop import advance
from gmdsl.run.chains.setup import RunPlan, Setup, prepared
from gmdsl.run.chains.starts import started

TUNED = 4  # chains that are tuned, more where they are tuned together; the settings of the first are used
SETTLED = 250  # draws after their warm-up, in which nothing may move
PART = 512  # chains whose test functions are held in memory at a time
REFERENCE = 2**19  # exact draws behind an expectation


@dataclass(frozen=True)
class Size:
    """How large the trials are.

    Attributes:
        chains: independent chains of a population.
        steps: steps of a block; halves of it hold whole cycles of 2, 3, 4, 6, 8, 12, 16, 24 or 48 steps.
        warmup: steps in which the sampler is tuned.
        blocks: blocks at most until a start is forgotten.
    """

    chains: int = 4096
    steps: int = 96
    warmup: int = 1000
    blocks: int = 64


@dataclass(frozen=True)
class Warmed:
    """The settings of tuned chains before warm-up, after it, and after some draws."""

    setup: Setup
    before: tuple[np.ndarray, ...]
    tuned: tuple[np.ndarray, ...]
    after: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class ChainBlock:
    """One block of many chains: where they were, (chains, dim), and each step, (chains, steps, ...)."""

    start: np.ndarray
    position: np.ndarray
    stats: dict[str, np.ndarray]


class Trial:
    """One sampler on one target.

    Args:
        sampler: what is examined.
        model: the target, which is drawn from exactly.
        size: how large the populations are.
        seed: for everything.
        arrays: settings to use instead of those that a warm-up gives.
    """

    def __init__(self, sampler: Sampler, model: Model, size: Size, seed: int, arrays: Any = None):
        self.sampler, self.model, self.size, self.seed = sampler, model, size, seed
        self.density = Density(model)
        self._given = arrays

    @functools.cached_property
    def warmed(self) -> Warmed:
        """Chains that were tuned by the driver as `gm.sample` would."""
        chains = 4 * TUNED if self.together else TUNED
        plan = RunPlan(chains, 0, self.size.warmup, self.seed, 1, choose_mode(self.sampler, chains, None))
        setup = prepared(self.density, self.sampler, plan)
        carries = started(setup, None)
        before = copied(carries.sampler)
        carries = advance(setup, carries, 0, _kept_nowhere, False, time.perf_counter()).carries
        tuned = copied(carries.sampler)
        longer = dataclasses.replace(setup, plan=dataclasses.replace(plan, draws=SETTLED))
        carries = advance(longer, carries, plan.warmup, _kept_nowhere, False, time.perf_counter()).carries
        return Warmed(setup, before, tuned, copied(carries.sampler))

    @functools.cached_property
    def kernel(self) -> Kernel:
        """The frozen kernel of the populations."""
        size = self.size
        plan = RunPlan(size.chains, 0, 0, self.seed, 1, choose_mode(self.sampler, size.chains, None))
        kernel = prepared(self.density, self.sampler, plan).kernel
        mode = "tile" if self.together else kernel.mode  # once tuned, chains are on their own
        return dataclasses.replace(kernel, given=kernel.started, adapters=(), capacity=size.steps, mode=mode)

    @functools.cached_property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The settings of the frozen kernel."""
        if self._given is not None:
            return self._given
        if self.adapts:
            return tuple(leaf[0] for leaf in self.warmed.tuned)
        plan = RunPlan(1, 0, 0, self.seed, 1, "vmap")
        return copied(prepared(self.density, self.sampler, plan).arrays)

    @property
    def dtype(self) -> Any:
        """Of positions."""
        return jnp.zeros(0).dtype

    @property
    def adapts(self) -> bool:
        """Whether the sampler is tuned at all."""
        return bool(self.sampler.adapts)

    @property
    def together(self) -> bool:
        """Whether chains are tuned together."""
        return any(adapter.side_by_side for adapter in adapters_of(self.sampler))

    @functools.cached_property
    def law(self) -> Law:
        """What exact draws say of the target."""
        x = self.draws(2, max(REFERENCE, self.size.chains * self.size.steps))
        return law_of(x, self.log_density(x))

    @functools.cached_property
    def stationary(self) -> ChainBlock:
        """A block of chains that start at exact draws."""
        return next(self.run(self.draws(1, self.size.chains), 1))

    def draws(self, purpose: int, count: int) -> np.ndarray:
        """Exact draws in the flat coordinates, (count, dim)."""
        key = jax.random.fold_in(jax.random.key(self.seed), purpose)
        values = self.density.sample(key, count)
        free = {name: jnp.asarray(values[name]) for name in self.density.free}
        return np.asarray(over_points(FlatTarget.unconstrain, self.density.target, free), self.dtype)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Log-densities at positions (..., dim)."""
        flat = jnp.asarray(x).reshape(-1, self.density.dim)
        return np.asarray(over_points(FlatTarget.log_density, self.density.target, flat)).reshape(x.shape[:-1])

    def means(self, population: ChainBlock, steps: slice = slice(None)) -> np.ndarray:
        """Means of the test functions along each chain, (chains, functions)."""
        x = population.position[:, steps]
        lp = self.log_density(x)
        parts = [self.law.functions(x[i : i + PART], lp[i : i + PART]).mean(1) for i in range(0, len(x), PART)]
        return np.concatenate(parts)

    def run(self, x: np.ndarray, purpose: int, arrays: Any = None) -> Iterator[ChainBlock]:
        """Blocks of a population, one after the other, from positions (chains, dim)."""
        target, size = self.density.target, self.size
        key = jax.random.fold_in(jax.random.key(self.seed), 1000 + purpose)
        keys = jax.random.key_data(jax.random.split(key, len(x)))
        settings = tuple(map(jnp.asarray, self.arrays if arrays is None else arrays))
        try:
            carries = start_chains(self.kernel, target, settings, keys, jnp.asarray(x))[0]
            phases = np.zeros(size.steps, np.int8)
            for block in range(2**20):
                first, records = jnp.int32(block * size.steps), jnp.int32(size.steps)
                carries, record = run_block(self.kernel, target, keys, carries, first, records, phases)
                record = jax.tree.map(np.asarray, record)
                yield ChainBlock(x, record.position, record.stats)
                x = record.position[:, -1]
        except SpecError as error:  # raised while tracing, where JAX adds remarks of its own
            raise SpecError(str(error)) from None

    @property
    def name(self) -> str:
        """The target's variables, which tell it from the others."""
        return ", ".join(self.density.free)


@dataclass(frozen=True)
class Trials:
    """A sampler on all targets."""

    sampler: Sampler
    each: tuple[Trial, ...]
    size: Size
    seed: int


def trials_of(sampler: Sampler, models: tuple[Model, ...], size: Size, seed: int) -> Trials:
    """The trials of a sampler on these targets."""
    return Trials(sampler, tuple(Trial(sampler, model, size, seed) for model in models), size, seed)


def copied(tree: Any) -> Any:
    """Arrays on the host, which outlive a carry that was given back to the device."""
    return jax.tree.map(np.array, tree)


def _kept_nowhere(record: Any, done: int, carries: Any) -> None:
    """Draws of a warm-up are not looked at."""


def positions(setup: Setup, carries: Any, done: int = 0) -> np.ndarray:
    """All positions of a run, (chains, steps, dim)."""
    found: list[np.ndarray] = []

    def keep(record: Any, done: int, carries: Any) -> None:
        found.append(np.array(record.position))

    advance(setup, carries, done, keep, False, time.perf_counter())
    return np.concatenate(found, axis=1)
