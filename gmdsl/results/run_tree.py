"""The tree of a run of chains: its groups and the attributes that say how it was made."""

import dataclasses
import json
from typing import Any

import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.pytrees.fields import named_numbers
from gmdsl.core.pytrees.reads import ARRAYS
from gmdsl.inference.sampler import Sampler
from gmdsl.results.digest import model_digest
from gmdsl.results.points import constrained, log_densities, slot_values
from gmdsl.results.tree import as_tree, attributes, constants


def build_tree(density: Density, sampler: Sampler, run: Any, *, seed: int, thin: int, draws: int) -> Any:
    """The tree of a run (`gmdsl.run.chains.loop.Run`)."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, arrays in run_groups(density, run.position, run.stats).items():
        groups[name] = {k: v[:, run.warmup :] for k, v in arrays.items()}
        if run.warmup:
            groups[f"warmup_{name}"] = {k: v[:, : run.warmup] for k, v in arrays.items()}
    attrs = run_attributes(density, sampler, run, seed=seed, thin=thin, draws=draws)
    if run.kernel.adapters:
        groups["tuned"] = named_numbers(run.kernel.started.fill(run.carries.sampler))
    return as_tree(density.model, {**groups, **constants(density.model)}, attrs)


def run_groups(density: Density, position: np.ndarray, stats: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """What chains leave behind, by group: named values, stats with `lp`, and unconstrained values."""
    if "lp" not in stats or density.moved is not density.target:  # in the coordinates of the model
        stats = {**stats, "lp": log_densities(density, position)}
    free = {s.name: slot_values(position, s) for s in density.target.slots}
    values = constrained(density, position)
    return {"posterior": values, "sample_stats": stats, "unconstrained_posterior": free}


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
        "model_digest": model_digest(density.source),
        "tuning_steps": run.warmup * thin,
        "sampling_time": run.times["total"],
        "time_to_first_block": run.times["first_block"],
    }
    if angles := [name for name in density.free if density.spaces[name].circular]:
        extra["angles"] = angles
    if gone := density.gone_elements:
        extra["without_density"] = json.dumps(gone)
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
