"""Running a generator: independent draws in compiled blocks, resampled where they carry weights.

An approximation keeps its own draws unless it asks for resampling. Either way the weighted draws are in the group
`particles`, and `attrs["bias"]` says that `posterior` holds draws of something else than the target.
"""

import functools
import json
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.rewrites.convolution_layouts import with_fast_convolutions
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.core.random.keys import seed_key
from gmdsl.diffusion.noised import Noised
from gmdsl.diffusion.noisy_end import far_end
from gmdsl.inference.generator import Generator, Prepared
from gmdsl.inference.path import Path
from gmdsl.models.model import Model
from gmdsl.results.estimate import LogZ, estimate
from gmdsl.results.points import constrained
from gmdsl.results.weighted_tree import WeightedDraws, weighted_tree
from gmdsl.run.progress import Progress
from gmdsl.run.targets import flat_target
from gmdsl.spaces.layout import unflatten

BLOCK = 1024  # draws side by side in a compiled block
CANDIDATES = 100  # weighted draws per chain that starts from one of them


def sample_generator(model: Any, generator: Generator, *, draws: int, seed: int, init: Any, progress: bool) -> Any:
    """The tree of a generator: one chain of independent draws; weighted ones also in the group `particles`."""
    target = flat_target("sample", model, generator, init)
    start = time.perf_counter()
    made = generate(generator, target, draws=draws, seed=seed, progress=progress)
    attrs = {
        "sampler": type(generator).__name__,
        "sampler_settings": repr(generator)[:2000],
        "draws_asked": draws if made.ready.most is None else min(draws, made.ready.most),
        "interrupted": int(made.interrupted),
        "sampling_time": time.perf_counter() - start,
    }
    if generator.bias:
        attrs["bias"] = generator.bias
    if isinstance(model, Model) and (gone := Density(model).gone_elements):
        attrs["without_density"] = json.dumps(gone)
    if isinstance(model, Model) and model.deterministic:
        attrs["computed"] = list(model.deterministic)
    if isinstance(model, Noised) and target.begin is None and (far := far_end(model)):
        attrs["noisy_end"] = far
    stats = {name: values[None] for name, values in made.stats.items()}
    log_z = made.log_z(type(generator).__name__) if "log_weight" in stats else None
    drawn = WeightedDraws(_name_values(model, made.x[None]), stats, log_z, generator.resamples, made.ready.found, attrs)
    return weighted_tree(model.target if isinstance(model, Path) else model, drawn, seed)


class Made(NamedTuple):
    """Flat draws of a generator.

    Attributes:
        ready: the generator that made them.
        x: the draws, (draws, dim).
        stats: by name.
        interrupted: whether Ctrl-C ended it early.
    """

    ready: Prepared[Generator]
    x: np.ndarray
    stats: dict[str, np.ndarray]
    interrupted: bool

    def log_z(self, method: str) -> LogZ:
        """What the weights say of the normalising constant."""
        return estimate(np.asarray(self.stats["log_weight"], float), method)


def generate(generator: Generator, target: Any, *, draws: int, seed: int, progress: bool) -> Made:
    """So many draws, or as many as the generator has; in blocks, and those that were made when Ctrl-C comes."""
    key_prepare, key_draw = jax.random.split(seed_key("sample", seed))
    parts: list[Any] = []
    with Progress(type(generator).__name__, 0, draws, 1, show=progress) as bar:
        ready = generator.prepare(key_prepare, target, bar.note)
        draws = draws if ready.most is None else min(draws, ready.most)
        if ready.points is not None:
            return Made(ready, np.asarray(ready.points)[:draws], {}, False)
        blocks = -(-draws // BLOCK)
        size = -(-draws // blocks)
        skeleton, arrays = strip((ready.generator, target))
        try:
            for block in range(blocks):
                keys = jax.random.split(jax.random.fold_in(key_draw, block), size)
                parts.append(jax.tree.map(np.asarray, _block(skeleton, arrays, keys)))
                bar.advance(size, {})
        except KeyboardInterrupt:
            if not parts:
                raise
    x, stats = jax.tree.map(lambda *p: np.concatenate(p)[:draws], *parts)
    return Made(ready, x, stats, len(parts) < blocks)


@functools.partial(jax.jit, static_argnums=0)
def _block(skeleton: Skeleton, arrays: Any, keys: jax.Array) -> Any:
    generator, target = skeleton.fill(arrays)
    return with_fast_convolutions(jax.jit(jax.vmap(lambda key: generator.draw(key, target))))(keys)


def generated_starts(model: Any, generator: Generator, chains: int, seed: int) -> np.ndarray:
    """Flat starting points of chains, (chains, dim): draws of a generator, different ones where they are weighted."""
    target = flat_target("sample", model, generator)
    draws = CANDIDATES * chains if generator.resamples else chains
    made = generate(generator, target, draws=draws, seed=seed, progress=False)
    if "log_weight" not in made.stats or not generator.resamples:
        return np.resize(made.x, (chains, made.x.shape[1]))
    noise = np.random.default_rng([seed, 2]).gumbel(size=draws)  # the largest sums are draws without replacement
    return made.x[np.argsort(-(np.asarray(made.stats["log_weight"], float) + noise))[:chains]]


def _name_values(model: Any, position: np.ndarray) -> dict[str, np.ndarray]:
    if isinstance(model, Noised):
        return {name: np.asarray(value) for name, value in unflatten(model.declared, jnp.asarray(position)).items()}
    return constrained(Density(model.reference if isinstance(model, Path) else model), position)
