"""Running a generator: independent draws in compiled blocks, resampled where they carry weights.

An approximation keeps its own draws unless it asks for resampling. Either way the weighted draws are in the group
`particles`, and `attrs["bias"]` says that `posterior` holds draws of something else than the target.
"""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.diffusion.noised import Noised
from gmdsl.inference.generator import Generator
from gmdsl.inference.weights import resampled
from gmdsl.models.model import Model
from gmdsl.results.estimate import estimate
from gmdsl.results.points import constrained
from gmdsl.results.tree import as_tree, attributes, constants
from gmdsl.run.progress import Progress
from gmdsl.run.targets import generator_target
from gmdsl.spaces.layout import unflatten

BLOCK = 1024  # draws side by side in a compiled block
CANDIDATES = 100  # weighted draws per chain that starts from one of them


def sample_generator(model: Any, generator: Generator, *, draws: int, seed: int, init: Any, progress: bool) -> Any:
    """The tree of a generator: one chain of independent draws; weighted ones also in the group `particles`."""
    target = generator_target(model, generator, init)
    draws = 1 if generator.single else draws
    settings = repr(generator)[:2000]
    start = time.perf_counter()
    generator, position, stats, cut = generate(generator, target, draws=draws, seed=seed, progress=progress)
    if not len(position):
        raise KeyboardInterrupt
    attrs = {
        **attributes(),
        "sampler": type(generator).__name__,
        "sampler_settings": settings,
        "seed": seed,
        "draws_asked": draws,
        "interrupted": int(cut),
        "sampling_time": time.perf_counter() - start,
    }
    if generator.bias:
        attrs["bias"] = generator.bias
    values = _named(model, position[None])
    groups: dict[str, Any] = {"posterior": values, "sample_stats": {n: v[None] for n, v in stats.items()}}
    if "log_weight" in stats:
        log_weight = np.asarray(stats["log_weight"], float)
        found = estimate(log_weight, repr(type(generator).__name__))
        if not np.isfinite(found.log_z):
            raise SpecError(f"sample(..., {type(generator).__name__}(...)): no draw has any weight. Train longer.")
        attrs |= {"log_z": found.log_z, "log_z_standard_error": found.standard_error, "weight_ess": found.ess}
        groups["particles"] = {**values, "log_weight": log_weight[None]}
        if generator.resamples:
            chosen = resampled(log_weight, seed)
            groups |= {g: {n: v[:, chosen] for n, v in groups[g].items()} for g in ("posterior", "sample_stats")}
    groups["approximation"] = generator.found(target)
    if isinstance(model, Model):
        groups |= constants(model)
    return as_tree(model, groups, attrs)


def generate(generator: Generator, target: Any, *, draws: int, seed: int, progress: bool) -> Any:
    """The prepared generator, its flat draws, their stats, and whether Ctrl-C ended it early."""
    key_prepare, key_draw = jax.random.split(jax.random.key(seed))
    blocks = -(-draws // BLOCK)
    size = -(-draws // blocks)
    parts: list[Any] = []
    with Progress(type(generator).__name__, 0, draws, 1, show=progress) as bar:
        generator = generator.prepare(key_prepare, target, bar.note)
        skeleton, arrays = strip((generator, target))
        try:
            for block in range(blocks):
                keys = jax.random.split(jax.random.fold_in(key_draw, block), size)
                parts.append(jax.tree.map(np.asarray, _block(skeleton, arrays, keys)))
                bar.advance(size, {})
        except KeyboardInterrupt:
            if not parts:
                raise
    x, stats = jax.tree.map(lambda *p: np.concatenate(p)[:draws], *parts)
    return generator, x, stats, len(parts) < blocks


@functools.partial(jax.jit, static_argnums=0)
def _block(skeleton: Skeleton, arrays: Any, keys: jax.Array) -> Any:
    generator, target = skeleton.fill(arrays)
    return jax.vmap(lambda key: generator.draw(key, target))(keys)


def generated_starts(model: Any, generator: Generator, chains: int, seed: int) -> np.ndarray:
    """Flat starting points of chains, (chains, dim): draws of a generator, different ones where they are weighted."""
    draws = chains if generator.single or not generator.resamples else CANDIDATES * chains
    target = generator_target(model, generator, None)
    _, position, stats, _ = generate(generator, target, draws=draws, seed=seed, progress=False)
    if "log_weight" not in stats or not generator.resamples:
        return position[:chains]
    noise = np.random.default_rng([seed, 2]).gumbel(size=draws)  # the largest sums are draws without replacement
    return position[np.argsort(-(np.asarray(stats["log_weight"], float) + noise))[:chains]]


def _named(model: Any, position: np.ndarray) -> dict[str, np.ndarray]:
    if isinstance(model, Noised):
        return {name: np.asarray(value) for name, value in unflatten(model.declared, jnp.asarray(position)).items()}
    return constrained(Density(model), position)
