"""How chains are batched: side by side, one after the other, or in tiles, and in how many parts cores share them.

Chains that are tuned together run side by side while they are. Afterwards they need nothing of each other, so what
follows is batched anew: parts of some 32 chains on a core each, or one chain after the other where their work differs.
"""

import dataclasses
from typing import Any, NamedTuple

import jax

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.inference.adapter import adapters_of
from gmdsl.inference.sampler import Sampler
from gmdsl.run.chains.cores import parts_of
from gmdsl.run.chains.kernel import Kernel
from gmdsl.run.chains.tiles import WIDEST

NARROW = 16  # vectors from which on a product with them all is faster than one by one
MANY = 2**12  # numbers in a draw of all chains from which on a program for what follows the warm-up is worth compiling:
# a thousand draws take about as long as it compiles, a second or two; fewer than 32 unknowns cost more in parts
TALL = 4  # times as few suffice where each takes a product with a tall matrix
THEN = ", then "


class Stage(NamedTuple):
    """How the chains run in a part of a run.

    Attributes:
        kernel: the static half.
        parts: in how many parts of one size.
    """

    kernel: Kernel
    parts: int


def choose_mode(
    sampler: Sampler,
    chains: int,
    asked: str | None,
    split: bool = False,
    target: FlatTarget | None = None,
    mesh: Any = None,
) -> str:
    """How chains are batched: side by side (in tiles when many), unless their work differs.

    Few chains of a model that multiplies a tall matrix of data with a vector run one after the other, because so few
    vectors side by side are the worst width for that product.

    Chains that are tuned together run side by side during warm-up; what comes after it, where a second program is worth
    its compilation, follows after a comma, as in "vmap, then tile". It does not depend on the number of draws, so that
    a run that is lengthened is the longer run.

    Chains that are split among processes run one after the other: side by side, their last bits depend on how many
    there are, and so on the number of processes.

    All of that is for CPUs. An accelerator has room for all chains at once, and each step of a loop waits for its
    host, so there they always run side by side.

    Args:
        sampler: how chains move.
        chains: of the whole run.
        asked: what the user wants in any case.
        split: whether several processes share the chains.
        target: the compiled model.
        mesh: devices that share the chains for the whole run; None for one.
    """
    if asked is not None:
        return asked
    if jax.default_backend() != "cpu":
        return "vmap"
    tall = target is not None and target.has_tall_data
    apart = not sampler.lockstep or (tall and chains < NARROW)
    if not any(adapter.side_by_side for adapter in adapters_of(sampler)):
        return "map" if apart or split else "vmap" if chains <= WIDEST else "tile"
    numbers = chains * target.dim * (TALL if tall else 1) if target is not None else 0
    if mesh is not None or numbers < MANY:
        return "vmap"
    if apart:
        return f"vmap{THEN}map"
    return f"vmap{THEN}tile" if chains > WIDEST or part_size(chains) < chains else "vmap"


def part_size(chains: int) -> int:
    """Chains in a part of those that were tuned together: a divisor of their number from 16 to 32, or all of them.

    >>> part_size(64), part_size(48), part_size(62), part_size(20)
    (32, 24, 31, 20)
    """
    return max((n for n in range(NARROW, 2 * NARROW + 1) if chains % n == 0), default=chains)


def first_mode(mode: str) -> str:
    """That of warm-up.

    >>> first_mode("vmap, then tile"), first_mode("map")
    ('vmap', 'map')
    """
    return mode.partition(THEN)[0]


def after_warmup(kernel: Kernel, mode: str, chains: int, cores: int) -> Stage | None:
    """How chains that were tuned together run afterwards, by a kernel that tunes nothing; None where as before."""
    then = mode.partition(THEN)[2]
    if not then:
        return None
    inside = "vmap" if chains <= WIDEST and then == "tile" else then
    parts = chains // part_size(chains) if inside == "vmap" else parts_of(then, chains, cores)
    return Stage(dataclasses.replace(kernel, adapters=(), mode=inside), parts)
