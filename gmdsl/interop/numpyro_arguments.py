"""How a NumPyro model function reads its arguments: as data, as what it observes, or as plain Python objects."""

import copy
import dataclasses
from typing import Any

import jax
import numpy as np

from gmdsl.core.pytrees.function import Constant
from gmdsl.core.pytrees.reads import ARRAYS
from gmdsl.core.user_arrays import as_numbers
from gmdsl.interop.numpyro_sites import Sites, same
from gmdsl.interop.numpyro_trace import log_prob

type Arguments = dict[str, Any]


def observed_by(sites: Sites, arguments: Arguments) -> dict[str, str]:
    """The site that observes each argument: other values of the one are other values of the other."""
    tied = {}
    for name, value in arguments.items():
        if isinstance(value, ARRAYS):
            for site, observed in sites.observed.items():
                if same(value, observed) and same(_moved_site(sites, arguments, name, site), _moved(value)):
                    tied[name] = site
    return tied


def read_elsewhere(sites: Sites, arguments: Arguments, name: str, site: str) -> bool:
    """Whether an argument that a site observes has other effects on the density as well."""
    fixed = {**sites.points()[0], site: sites.observed[site]}
    put = lambda message: fixed.get(message["name"]) if _step(message) is None else fixed_step(message)  # noqa: E731

    def fixed_step(message: Any) -> Any:
        return fixed[message["name"]][_step(message)] if message["name"] in fixed else None

    runs = [_with(sites, given).run({}, put) for given in (arguments, {**arguments, name: _moved(arguments[name])})]
    terms = [[part for s in run.values() if s["type"] in KINDS for part in _effects(s)] for run in runs]
    return not all(map(same, *terms))


KINDS = ("sample", "deterministic")


def _effects(site: Any) -> tuple[Any, ...]:
    """What a site gives: its value, or its terms and their scale."""
    if site["type"] == "deterministic":
        return (site["value"],)
    return log_prob(site, total=False), 1.0 if site.get("scale") is None else site["scale"]


def arguments_as_read(sites: Sites, arguments: Arguments, tied: dict[str, str]) -> tuple[Arguments, Arguments]:
    """The arguments that are fixed, as constants, and those that are data of the model."""
    fixed = {name: Constant(copy.deepcopy(value)) for name, value in arguments.items() if not _is_tree(value)}
    held = [name for name, value in arguments.items() if name not in fixed and _has_arrays(value)]
    if not _can_be_traced(sites, arguments, held):
        stuck = [name for name in held if not _can_be_traced(sites, arguments, [name])] or held
        fixed |= {name: Constant(copy.deepcopy(arguments[name])) for name in stuck}
    data = {
        name: as_numbers(f"{sites.label}({name}=...)", value)
        for name, value in arguments.items()
        if isinstance(value, ARRAYS) and not {name} & {*fixed, *tied, *sites.named}
    }
    return fixed, data


def with_constants(value: Any) -> Any:
    """An argument whose Python numbers are constants, so that they can be sizes and conditions; arrays stay."""
    keep = lambda leaf: leaf if isinstance(leaf, (*ARRAYS, Constant)) else Constant(leaf)  # noqa: E731
    return jax.tree.map(keep, value, is_leaf=lambda leaf: isinstance(leaf, Constant))


def _can_be_traced(sites: Sites, arguments: Arguments, names: list[str]) -> bool:
    """Whether the function runs with some arguments as JAX's abstract arrays."""

    def run(arrays: Arguments) -> Any:
        found = _with(sites, {**arguments, **arrays}).run({}, lambda message: None)
        return {name: site["value"] for name, site in found.items() if site["type"] in KINDS}

    try:
        jax.eval_shape(run, {name: arguments[name] for name in names})
    except Exception:  # whatever a library raises that was handed an abstract array; with numbers the function ran
        return False
    return True


def _with(sites: Sites, arguments: Arguments) -> Any:
    return dataclasses.replace(sites.traced, arguments=arguments)


def _moved_site(sites: Sites, arguments: Arguments, name: str, site: str) -> Any:
    """The observed value of a site where an argument has other numbers."""
    changed = _with(sites, {**arguments, name: _moved(arguments[name])})
    try:
        return changed.run({}, lambda message: None)[site]["value"]
    except Exception:  # the function refuses numbers that it was not given
        return None


def _moved(value: Any) -> Any:
    """Other numbers of the same kind, from the same set if possible."""
    rolled = np.roll(np.asarray(value), 1, axis=0) if np.ndim(value) else np.asarray(value)
    return 1 - rolled if same(rolled, value) and rolled.dtype != bool else ~rolled if same(rolled, value) else rolled


def _step(message: Any) -> Any:
    return message["infer"].get("_scan_current_index") if message["type"] == "sample" else None


def _is_tree(value: Any) -> bool:
    """Whether a value is made of arrays and of what can be a key."""
    try:
        hash(tuple(leaf for leaf in jax.tree.leaves(value) if not isinstance(leaf, ARRAYS)))
    except TypeError:
        return False
    return True


def _has_arrays(value: Any) -> bool:
    return any(isinstance(leaf, ARRAYS) for leaf in jax.tree.leaves(value))
