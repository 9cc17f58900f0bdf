"""A run that is ready to go: the kernel, the keys, the plan, and how long a block is."""

from dataclasses import dataclass
from typing import Any

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.core.random.keys import chain_words
from gmdsl.core.runtime.garbage import uncollected
from gmdsl.inference.adapter import adapters_of
from gmdsl.inference.sampler import Sampler
from gmdsl.run.chains.ahead_of_time import Ahead, block_arguments, compile_ahead
from gmdsl.run.chains.batching import Stage, after_warmup, first_mode
from gmdsl.run.chains.block import run_block
from gmdsl.run.chains.contract import check_chains
from gmdsl.run.chains.cores import cores_here, parts_of
from gmdsl.run.chains.kernel import Carry, Kernel, Record, make_kernel
from gmdsl.run.chains.tuned import Tuned
from gmdsl.run.parallel.mesh import spread
from gmdsl.run.parallel.placement import WHOLE, Share

CAPACITY = 2000  # records in a block at most; a fixed number, so that other lengths compile nothing
USUAL = 250  # likewise, where more would be felt
CHEAP = 2**18  # numbers in buffers whose cost is not felt
NUMBERS = 2**25  # numbers in the buffers of a block at most (128 MB in single precision)


@dataclass(frozen=True)
class RunPlan:
    """How long and how wide a run is: the settings of `gm.sample` of the same names."""

    chains: int
    draws: int
    warmup: int
    seed: int
    thin: int
    mode: str


@dataclass(frozen=True)
class Setup:
    """A run that is ready to go: the compiled model, the kernel, the keys and the plan.

    Attributes:
        density: the compiled model.
        kernel: the static half of the run.
        arrays: those of the sampler.
        keys: two words for each chain of the share.
        plan: how long and how wide the whole run is.
        name: the sampler's.
        share: the chains that are run here.
        parts: in how many parts they are run.
        cores: of the processor that share the parts.
        then: how they run after warm-up, where that is something else.
    """

    density: Density
    kernel: Kernel
    arrays: Any
    keys: Any
    plan: RunPlan
    name: str
    share: Share = WHOLE
    parts: int = 1
    cores: int = 1
    then: Stage | None = None

    @property
    def total(self) -> int:
        """Records of each chain, warm-up included."""
        return self.plan.warmup + self.plan.draws

    def stages(self, done: int) -> list[tuple[Stage, int]]:
        """What is left after so many records: how the chains run, and up to which record."""
        first = Stage(self.kernel, self.parts)
        if self.then is None:
            return [(first, self.total)]
        return [(stage, end) for stage, end in ((first, self.plan.warmup), (self.then, self.total)) if end > done]

    @property
    def chains(self) -> range:
        """Numbers of the chains that are run here."""
        return self.share.of(self.plan.chains)


@uncollected()
def prepared(
    density: Density, sampler: Sampler, plan: RunPlan, mesh: Any = None, share: Share = WHOLE, cores: int | None = None
) -> Setup:
    """The kernel of a run, traced, and the keys of its chains; `mesh` has devices of this process only.

    `cores` of the processor share chains that are not run side by side; all there are when None.
    """
    chains = share.of(plan.chains)
    size = capacity(len(chains), density.dim, plan.warmup + plan.draws)
    sampler, name = sampler.bound(density), type(sampler).__name__
    check_chains(sampler, adapters_of(sampler), plan.chains, first_mode(plan.mode), split=share != WHOLE)
    each = isinstance(sampler, Tuned)
    if isinstance(sampler, Tuned) and sampler.chains != plan.chains:
        raise SpecError(
            f"sample(chains={plan.chains}): the sampler was tuned for {sampler.chains} chains. Take as many, or one set"
            " of settings for all, tuned.pooled()."
        )
    if each and share != WHOLE:
        raise SpecError("sample(...): chains with settings of their own run in one process. Take tuned.pooled().")
    kernel, arrays = make_kernel(density.moved, sampler, first_mode(plan.mode), size, plan.thin, mesh, each)
    keys, cores = spread(mesh, chain_words(plan.seed, chains)), cores or cores_here()
    divides = sampler.divides and not adapters_of(sampler)
    parts = 1 if mesh is not None else parts_of(kernel.mode, len(chains), cores, plan.chains, divides)
    then = None if mesh is not None else after_warmup(kernel, plan.mode, plan.chains, cores)
    busy = min(cores, max(parts, then.parts if then else 1))
    return Setup(density, kernel, arrays, keys, plan, name, share, parts, busy, then)


def ahead(setup: Setup) -> Ahead:
    """Begins to compile the programs of a run, where that was not done before."""
    stages = [stage for stage, _ in setup.stages(0)]
    return compile_ahead(stages, setup.density.moved, setup.arrays, setup.keys, setup.plan.chains)


def shapes(setup: Setup, carries: Carry) -> Record:
    """Shapes and dtypes of one full block of one part of the chains, traced and not run."""
    given = block_arguments(setup.kernel, setup.density.moved, carries, setup.keys, setup.parts)
    return run_block.eval_shape(setup.kernel, *given)[1]


def capacity(chains: int, dim: int, total: int) -> int:
    """Records in a block: fewer where positions are so large that buffers would not fit, or cost time for nothing.

    Args:
        chains: how many.
        dim: numbers in a position.
        total: records of each chain in the run.

    >>> capacity(4, 10, 20), capacity(4, 200, 2000), capacity(64, 100_000, 2000), capacity(10_000, 2, 5)
    (2000, 2000, 5, 8)
    """
    numbers = max(1, chains * dim)
    if numbers * CAPACITY <= 8 * CHEAP:
        return CAPACITY
    most = max(1, min(USUAL, CAPACITY, NUMBERS // numbers))
    return most if numbers * most <= CHEAP else min(most, 2 ** max(0, total - 1).bit_length())
