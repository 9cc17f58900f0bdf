"""Where chains start: dispersed, checked, and explained when nothing works."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError, StartError, unknown_name
from gmdsl.core.model import Model
from gmdsl.core.node import as_numbers
from gmdsl.core.space import Real, contains, describe, dtype_of

TRIES = 100
RADIUS = 2.0  # starts are uniform on (-2, 2) in each unconstrained coordinate, as in Stan


def given_starts(density: Density, init: Any, chains: int, seed: int) -> np.ndarray | None:
    """Flat starting points, (chains, dim), from what the user gave; None for random ones.

    Args:
        density: the compiled model.
        init: a dict of values (one start, or one per chain along a first axis), a tree of draws, a
            model to draw from, or None.
        chains: how many.
        seed: for draws.

    Raises:
        SpecError: values with other names, shapes or supports than declared.
    """
    if init is None:
        return None
    if isinstance(init, Model):
        values = jax.tree.map(np.asarray, init.sample(jax.random.key(seed), chains))
    elif isinstance(init, Mapping) and not hasattr(init, "children"):
        values = init
    else:
        values = _last_draws(init, density, chains)
    values = {
        name: value for name, value in values.items() if not (isinstance(init, Model) and name not in density.free)
    }
    missing = [name for name in density.free if name not in values]
    if missing:
        raise SpecError(f"sample(init=...): {missing[0]} has no start; give {', '.join(density.free)}.")
    points = {name: _per_chain(density, name, value, chains) for name, value in values.items()}
    flat = [density.unconstrain({n: v[c] for n, v in points.items()}) for c in range(chains)]
    return np.stack([np.asarray(x) for x in flat])


def random_start(seed: int, chain: int, attempt: int, dim: int) -> np.ndarray:
    """One random start, the same on every machine."""
    draws = np.random.default_rng([seed, chain, attempt]).uniform(-RADIUS, RADIUS, dim)
    return draws.astype(dtype_of(Real()))


def start_error(density: Density, x: np.ndarray, given: bool, tries: int) -> StartError:
    """The error for a start where the density cannot be used, with a table of the factors."""
    program, target = density.program, density.target
    values = program.jit_constrain(target.leaves, target.hoisted, jnp.asarray(x))
    point = {name: values[name] for name in program.free}

    def gradients(point: Any) -> Any:
        return jax.jacrev(lambda p: program.terms(target.leaves, target.hoisted, {**point, **p}))(
            {name: point[name] for name in program.floats}
        )

    terms = program.terms(target.leaves, target.hoisted, point)
    slopes = gradients(point)
    rows = []
    for name, value in terms.items():
        number = float(value)
        smooth = all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(slopes[name]))
        rows.append((np.isfinite(number) and smooth, name, number, smooth))
    rows.sort(key=lambda row: row[0])
    table = "\n".join(
        f"  {name:<32} {number:>12.5g}  gradient {'finite' if ok else 'NOT finite'}" for _, name, number, ok in rows
    )
    where = ", ".join(f"{name}={_short(value)}" for name, value in point.items())
    total = float(sum(terms.values()))
    if given:
        what = f"sample(init=...): the start is outside the support: the log-density is {total:.5g} at {where}."
        return StartError(f"{what} Give another start.\n{table}")
    what = f"sample(...): no usable start in {tries} tries: the last log-density is {total:.5g} at {where}."
    return StartError(f"{what} Mend the first factor below, or give init=.\n{table}")


def _last_draws(tree: Any, density: Density, chains: int) -> dict[str, np.ndarray]:
    if not hasattr(tree, "children") or "posterior" not in tree.children:
        raise SpecError("sample(init=...): a dict of values, a tree with a posterior, or a model is needed.")
    posterior = tree["posterior"]
    if posterior.sizes["draw"] == 0:
        raise SpecError("sample(init=tree): the tree has no draws. Take one that was sampled to the end.")
    values = {}
    for name in density.free:
        if name not in posterior:
            raise unknown_name("sample(init=tree)", name, list(posterior.data_vars), "variables of the tree")
        draws = np.asarray(posterior[name].transpose("chain", "draw", ...))
        flat = draws[:, -1] if draws.shape[0] == chains else draws.reshape(-1, *draws.shape[2:])
        values[name] = flat if draws.shape[0] == chains else flat[np.linspace(0, len(flat) - 1, chains).astype(int)]
    return values


def _per_chain(density: Density, name: str, value: Any, chains: int) -> np.ndarray:
    operation = f"sample(init={{{name!r}: ...}})"
    if name not in density.free:
        raise unknown_name(operation, name, density.free, "free variables")
    space = density.program.spaces[name]
    array = as_numbers(operation, value)
    if array.shape == space.shape:
        array = np.broadcast_to(array, (chains, *space.shape))
    if array.shape != (chains, *space.shape):
        raise SpecError(
            f"{operation}: shape {array.shape}, but {name} was declared {space.shape}."
            f" Give {space.shape}, or {(chains, *space.shape)} for one start per chain."
        )
    if not contains(space, array):
        raise SpecError(f"{operation}: a start lies outside the support; {name} was declared {describe(space)}.")
    return array


def _short(value: Any) -> str:
    array = np.asarray(value)
    text = np.array2string(array, precision=4, threshold=6, separator=", ")
    return text.replace("\n", "")
