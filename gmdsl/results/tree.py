"""The result of a run as an `xarray.DataTree` in ArviZ's schema.

Groups: `posterior`, `sample_stats`, `unconstrained_posterior`, each with its `warmup_` twin, and
`observed_data`, `constant_data`. Attributes say which versions, seed, sampler and model made it.

Reference:
    ArviZ, *InferenceData schema specification*.
"""

import dataclasses
import datetime
import functools
import hashlib
import json
import weakref
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.pytrees.digest import stable_text
from gmdsl.core.pytrees.fields import named_numbers
from gmdsl.core.pytrees.fingerprint import fingerprint
from gmdsl.core.pytrees.function import Constant, Function
from gmdsl.core.pytrees.reads import ARRAYS
from gmdsl.core.runtime.version import version
from gmdsl.inference.sampler import Sampler
from gmdsl.models.model import Model
from gmdsl.spaces.space import Real


def build_tree(density: Density, sampler: Sampler, run: Any, *, seed: int, thin: int, draws: int) -> Any:
    """The tree of a run (`gmdsl.run.chains.loop.Run`)."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, arrays in run_groups(density, run.position, run.stats).items():
        groups[name] = {k: v[:, run.warmup :] for k, v in arrays.items()}
        if run.warmup:
            groups[f"warmup_{name}"] = {k: v[:, : run.warmup] for k, v in arrays.items()}
    attrs = run_attributes(density, sampler, run, seed=seed, thin=thin, draws=draws)
    if run.kernel.adapters:
        groups["tuned"] = named_numbers(run.kernel.started.sampler(run.carries.sampler))
    return as_tree(density.model, {**groups, **constants(density.model)}, attrs)


def run_groups(density: Density, position: np.ndarray, stats: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """What chains leave behind, by group: named values, stats with `lp`, and unconstrained values."""
    stats = stats if "lp" in stats else {**stats, "lp": _log_densities(density, position)}
    free = {s.name: _slot(position, s) for s in density.program.plan.slots}
    values = constrained(density, position)
    return {"posterior": values, "sample_stats": stats, "unconstrained_posterior": free}


def constrained(density: Density, position: np.ndarray) -> dict[str, np.ndarray]:
    """Free and deterministic variables at flat draws of shape (chain, draw, dim)."""
    program = density.program
    if not program.computed and all(isinstance(program.spaces[name], Real) for name in program.free):
        return {s.name: _slot(position, s) for s in program.plan.slots}
    target = density.target
    return in_batches(_constrain_batch, program, target, position)


def as_tree(model: Model, groups: dict[str, dict[str, np.ndarray]], attrs: dict[str, Any]) -> Any:
    """A tree of the groups that hold something; dims and coords of the model name the axes."""
    from xarray import Dataset, DataTree

    described, basic = ("posterior", "sample_stats", "log_likelihood"), attributes()
    dims, coords = dict(model.dims), dict(model.coords)
    sampled = ("posterior", "sample_stats", "prior", "prior_predictive", "posterior_predictive", "log_likelihood",
               "predictions")  # fmt: skip
    children = {}
    for group, arrays in groups.items():
        if not arrays:
            continue
        plain = group.removeprefix("warmup_")
        leading = ("chain", "draw") if plain in sampled or plain == "unconstrained_posterior" else ()
        leading = ("chain",) if plain == "tuned" else leading
        named = {} if plain == "unconstrained_posterior" else dims
        data = _dataset(arrays, leading, named, coords, attrs if group in described else basic)
        children[group] = DataTree(data)
    tree = DataTree(Dataset(attrs=attrs))
    tree.children = children  # `from_dict` would copy them all
    return tree


def constants(model: Model) -> dict[str, dict[str, np.ndarray]]:
    """The groups `observed_data` and `constant_data` of a model."""
    observed = {name: np.array(value) for name, value in model.observed.items()}
    fixed = {name: np.array(value) for name, value in model.data.items()}
    return {"observed_data": observed, "constant_data": fixed}


def model_digest(model: Model) -> str:
    """A digest of the structure, the functions and the data of a model, the same in every process."""
    held = id(model)  # models are compared by their arrays, so they are no keys; none of them ever changes
    if held not in _DIGESTS:
        _DIGESTS[held] = _digest(model)
        weakref.finalize(model, _DIGESTS.pop, held, None)
    return _DIGESTS[held]


_DIGESTS: dict[int, str] = {}


def _digest(model: Model) -> str:
    leaves, treedef = jax.tree.flatten(model)
    arrays = [fingerprint(np.asarray(leaf), []) for leaf in leaves if isinstance(leaf, ARRAYS)]
    held = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, Function | Constant))
    functions = [stable_text(node.key) for node in held if isinstance(node, Function | Constant)]
    text = repr((str(treedef), functions, model.constants, arrays))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def attributes() -> dict[str, Any]:
    """Who made a group, and when."""
    own = version()
    return {
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
        "creation_library": "gmdsl",
        "creation_library_version": own,
        "creation_library_language": "Python",
        "inference_library": "gmdsl",
        "inference_library_version": own,
        "jax_version": jax.__version__,
    }


def run_attributes(density: Density, sampler: Sampler, run: Any, *, seed: int, thin: int, draws: int) -> dict[str, Any]:
    """Who made a run, with which settings, and how it went."""
    extra = {
        "sampler": type(sampler).__name__,
        "sampler_settings": settings_text(sampler),
        "seed": seed,
        "thin": thin,
        "chain_mode": run.mode,
        "cores": run.cores,
        "draws_asked": draws,
        "interrupted": int(run.interrupted),
        "model_digest": model_digest(density.model),
        "tuning_steps": run.warmup * thin,
        "sampling_time": run.times["total"],
        "time_to_first_block": run.times["first_block"],
    }
    if sampler.bias:
        extra["bias"] = sampler.bias
    return {**attributes(), **extra}


def settings_text(sampler: Sampler) -> str:
    """The settings of a sampler as JSON."""
    return json.dumps({f.name: _plain(getattr(sampler, f.name)) for f in dataclasses.fields(sampler)})


def _plain(value: Any) -> Any:
    """A setting as JSON."""
    if isinstance(value, ARRAYS):
        return np.asarray(value).tolist()
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _dataset(arrays: dict[str, Any], leading: Any, dims: Any, coords: Any, attrs: dict[str, Any]) -> Any:
    import xarray

    variables, axes = {}, {}
    for name, array in arrays.items():
        shape = array.shape[len(leading) :]
        labels = list(dims.get(name, ()))[: len(shape)]
        labels += [f"{name}_dim_{i}" for i in range(len(labels), len(shape))]
        variables[name] = xarray.Variable((*leading, *labels), np.asarray(array))
        for label, size in zip(labels, shape, strict=True):
            axes[label] = _axis(label, np.asarray(coords[label])) if label in coords else _numbers(label, size)
    if leading:
        first = next(iter(arrays.values()))
        axes |= {axis: _numbers(axis, first.shape[i]) for i, axis in enumerate(leading)}
    values = {label: axis[0] for label, axis in axes.items()}
    indexes = {label: axis[1] for label, axis in axes.items()}
    return xarray.Dataset(variables, coords=xarray.Coordinates(values, indexes=indexes), attrs=attrs)


def _axis(label: str, values: np.ndarray) -> tuple[Any, Any]:
    """The values along an axis, and their index."""
    import xarray

    held = xarray.Coordinates({label: xarray.Variable(label, values)})
    return held[label].variable, held.xindexes[label]


@functools.lru_cache(maxsize=256)
def _numbers(label: str, size: int) -> tuple[Any, Any]:
    """An axis that counts from 0; made once, as xarray spends more time on it than on the draws."""
    return _axis(label, np.arange(size))


def _slot(position: np.ndarray, slot: Any) -> np.ndarray:
    return position[..., slot.start : slot.stop].reshape(*position.shape[:-1], *slot.space.free_shape)


_BATCH = 1000  # points in a batch; fixed, so that another number of draws compiles nothing
_NUMBERS = 2**22  # numbers in a batch at most


def in_batches(function: Any, program: Any, target: Any, position: np.ndarray) -> Any:
    """A function of flat points over all draws, in batches of one size so that it compiles once."""
    flat = position.reshape(-1, position.shape[-1])
    size = max(1, min(_BATCH, _NUMBERS // max(flat.shape[1], 1)))
    padded = np.concatenate([flat, np.repeat(flat[-1:], -len(flat) % size, axis=0)])
    parts = [
        jax.tree.map(np.asarray, function(program, target.leaves, target.hoisted, padded[i : i + size]))
        for i in range(0, len(padded), size)
    ]
    whole = jax.tree.map(lambda *p: np.concatenate(p)[: len(flat)], *parts)
    return jax.tree.map(lambda a: a.reshape(*position.shape[:2], *a.shape[1:]), whole)


def _constrain(program: Any, leaves: Any, hoisted: Any, x: Any) -> Any:
    return jax.vmap(lambda x: program.constrain(leaves, hoisted, x))(x)


def _density(program: Any, leaves: Any, hoisted: Any, x: Any) -> Any:
    return jax.vmap(lambda x: program.decode(leaves, hoisted, x)[1])(x)


_constrain_batch = jax.jit(_constrain, static_argnums=0)
_density_batch = jax.jit(_density, static_argnums=0)


def _log_densities(density: Density, position: np.ndarray) -> np.ndarray:
    return in_batches(_density_batch, density.program, density.target, position)
