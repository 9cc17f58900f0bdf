"""Where chains start: dispersed, checked, and explained when nothing works."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError, StartError, unknown_name
from gmdsl.core.random.keys import chain_words, seed_key
from gmdsl.core.user_arrays import as_numbers
from gmdsl.graph import evaluate
from gmdsl.graph.factor import Deterministic
from gmdsl.graph.order import ancestors, unique_names
from gmdsl.inference.generator import Generator
from gmdsl.inference.target import Target
from gmdsl.models.model import Model
from gmdsl.results.points import constrained
from gmdsl.run.chains.ahead_of_time import Ahead
from gmdsl.run.chains.block import start_chains
from gmdsl.run.chains.kernel import Carry
from gmdsl.run.chains.setup import Setup
from gmdsl.run.parallel.mesh import spread
from gmdsl.run.parallel.placement import WHOLE
from gmdsl.spaces.space import Real, dtype_of

TRIES = 100
FAR_TRIES = 10  # of those, in which a start is also refused for being too far out
ROWS = 2  # factors and variables that an error shows
RADIUS = 2.0  # starts are uniform on (-2, 2) in each unconstrained coordinate, as in Stan


def given_starts(density: Density, init: Any, chains: int, seed: int) -> np.ndarray | None:
    """Flat starting points, (chains, dim), from what the user gave; None for random ones.

    Args:
        density: the compiled model.
        init: a dict of values (one start, or one per chain along a first axis), a tree of draws, a
            model to draw from, a generator such as `gm.Pathfinder()` (one draw per chain), or None.
        chains: how many.
        seed: for draws.

    Raises:
        SpecError: values with other names, shapes or supports than declared.
    """
    if init is None:
        return None
    if isinstance(init, Generator):
        from gmdsl.run.populations.generators import generated_starts

        return generated_starts(density.model, init, chains, seed)
    if isinstance(init, Model):
        values = jax.tree.map(np.asarray, init.sample(seed_key("sample", seed), chains))
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


def resolved(lp: np.ndarray) -> np.ndarray:
    """Whether log-densities are so moderate that their precision tells apart two whose difference is one.

    Where it does not, the energy error of a trajectory is rounding, and no sampler can tell a good move from a bad one.

    >>> resolved(np.array([-2e2, -1e7, -1e8, -np.inf], np.float32)), resolved(np.array([-1e8]))
    (array([ True,  True, False, False]), array([ True]))
    """
    return np.spacing(np.abs(lp)) <= 1.0


def random_starts(seed: int, attempt: int, target: Target, chains: int) -> np.ndarray:
    """Random starts, (chains, dim), the same on every machine; discrete coordinates at any of their values.

    The start of a chain does not depend on how many chains there are.
    """
    dim = target.dim // target.copies_at_start  # a place where one copy can be is one where all can
    draws = np.random.default_rng([seed, 0, attempt]).uniform(-RADIUS, RADIUS, (chains, dim))
    for i, states in enumerate(target.states[:dim]):
        if states is not None:
            count, first, gap = states
            draws[:, i] = first + gap * np.floor((draws[:, i] + RADIUS) / (2 * RADIUS) * count)
    return np.tile(draws, (1, target.copies_at_start)).astype(dtype_of(Real()))


def start_error(density: Density, x: np.ndarray, given: bool, tries: int) -> StartError:
    """The error for a start where the density cannot be used, with the first factor that is to blame."""
    values = density.constrain(jnp.asarray(x))
    point = {name: values[name] for name in density.free}
    terms, slopes = _terms_and_slopes(density.target, point)
    fixed = {name: value for name, value in _fixed_terms(density, point).items() if not np.isfinite(value)}
    if fixed:
        return _data_error(fixed)
    rows = []
    for name, value in terms.items():
        smooth = all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(slopes[name]))
        rows.append((bool(np.isfinite(value)) and smooth, name, float(value), smooth))
    rows.sort(key=lambda row: (row[0], np.isfinite(row[2])))
    table = "\n".join(
        f"  {_shorten(name, 60):<32} {number:>12.5g}  gradient {'finite' if smooth else 'NOT finite'}"
        for _, name, number, smooth in rows[:ROWS]
    )
    if len(rows) > ROWS:
        table += f"  ({len(rows) - ROWS} more, {sum(not good for good, *_ in rows[ROWS:])} of them not finite)"
    total = float(sum(terms.values()))
    where = ", ".join(f"{name}={_short(value)}" for name, value in _find_blamed(density, rows[0][1], point).items())
    if given and total == -np.inf:
        what = f"sample(init=...): the start is outside the support: the log-density is -inf at {where}."
        return StartError(f"{what} Give another start.\n{table}")
    wrong = f"the log-density is {total:.5g}" if not np.isfinite(total) else "the gradient is not finite"
    mend = "Mend the first factor below"
    if _usable_in_double(density, x):
        mend = (
            'In double precision both are finite there: jax.config.update("jax_enable_x64", True). Or mend the factor'
        )
    if given:
        return StartError(f"sample(init=...): {wrong} at the start {where}. {mend}.\n{table}")
    what = f"sample(...): no usable start in {tries} tries: at the last one {wrong}, at {where}."
    return StartError(f"{what} {mend}, or give init=.\n{table}")


def _usable_in_double(density: Density, x: np.ndarray) -> bool:
    """Whether a start fails in single precision alone, as where a covariance is singular to seven digits."""
    if jax.config.jax_enable_x64:
        return False
    with jax.enable_x64(True):
        target = Density(density.model).target
        value, score = jax.jit(type(target).log_density_and_score)(target, jnp.asarray(x, float))
        return bool(jnp.isfinite(value) & jnp.isfinite(score).all())


def _fixed_terms(density: Density, point: dict[str, Any]) -> dict[str, float]:
    """The terms that depend on data alone: no start changes them."""
    model, fixed = density.model, density.target.program.plan.fixed
    named = dict(zip(unique_names(model.factors), enumerate(model.factors), strict=True))
    chosen = {n: f for n, (i, f) in named.items() if i in fixed and not isinstance(f, Deterministic)}
    if not chosen:
        return {}
    # traced, or NumPyro warns of what lies outside of a support
    found = jax.jit(lambda values: {n: f.log_density(values) for n, f in chosen.items()})
    return {name: float(value) for name, value in found(evaluate.completed(model, point)).items()}


def _data_error(fixed: dict[str, float]) -> StartError:
    """The error for a term that is not finite wherever the free variables are."""
    table = "\n".join(f"  {_shorten(name, 60):<32} {value:>12.5g}" for name, value in list(fixed.items())[:ROWS])
    name, value = next(iter(fixed.items()))
    observed = name.removeprefix("p(").removesuffix(")").split(" | ")[0]
    return StartError(
        f"sample(...): there is no usable start: {name} depends on data alone, and its log-density is {value:.5g}."
        f" Change what is observed of {observed}, or its distribution.\n{table}"
    )


@jax.jit
def _terms_and_slopes(target: FlatTarget, point: Any) -> Any:
    def terms(moved: Any) -> Any:
        return target.terms({**point, **moved})

    moved = {name: value for name, value in point.items() if not target.spaces[name].discrete}
    found = terms(moved)  # gradients one by one: NaN in one term times zero is NaN in all
    return found, {name: jax.grad(lambda p, name=name: terms(p)[name])(moved) for name in found}


def _find_blamed(density: Density, factor: str, point: dict[str, Any]) -> dict[str, Any]:
    """The first free variables on which a factor depends: where to look."""
    model = density.model
    (found,) = [f for f, name in zip(model.factors, unique_names(model.factors), strict=True) if name == factor]
    read = {*found.parents, *found.children}
    read |= {above for name in read for above in ancestors(model.factors, name)}
    return dict([item for item in point.items() if item[0] in read][:ROWS]) or dict([*point.items()][:ROWS])


def _last_draws(tree: Any, density: Density, chains: int) -> dict[str, np.ndarray]:
    if not hasattr(tree, "children") or "posterior" not in tree.children:
        given = f"the class {tree.__name__}" if isinstance(tree, type) else type(tree).__name__
        raise SpecError(
            "sample(init=...): a dict of values, a tree with a posterior, a model, or a generator such as"
            f" gm.Pathfinder() is needed, not {given}."
        )
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
    space = density.spaces[name]
    array = as_numbers(operation, value, fix="Give finite starts.")
    if array.shape == space.shape:
        array = np.broadcast_to(array, (chains, *space.shape))
    if array.shape != (chains, *space.shape):
        raise SpecError(
            f"{operation}: shape {array.shape}, but {name} was declared {space.shape}."
            f" Give {space.shape}, or {(chains, *space.shape)} for one start per chain."
        )
    if not space.contains(array):
        raise SpecError(
            f"{operation}: {_short(value)} lies outside the support; {name} was declared {space.title}. Start inside."
        )
    return array


def _short(value: Any) -> str:
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{array:.4g}"
    text = np.array2string(array, precision=4, threshold=4, edgeitems=1, separator=", ")
    return _shorten(" ".join(text.split()), 40)


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def started(setup: Setup, init: Any, begun: Ahead = Ahead()) -> Carry:  # noqa: B008
    """The carries of the chains of a share at their starts, which are checked, once the block is compiled."""
    carries = starts(setup, init, begun)
    if begun.blocks:
        constrained(setup.density, np.zeros((1, 1, setup.density.dim), dtype_of(Real())))  # compiled meanwhile
        begun.wait()
    return spread(setup.kernel.mesh, share_of(setup, carries))


def share_of(setup: Setup, carries: Carry) -> Carry:
    """Those carries of all chains that are run here."""
    if setup.share == WHOLE:
        return carries
    return jax.tree.map(lambda leaf: leaf[setup.chains.start : setup.chains.stop], carries)


def starts(setup: Setup, init: Any, begun: Ahead = Ahead()) -> Carry:  # noqa: B008
    """The carries of all chains of the run at their starts: one program, so that no bit depends on the share."""
    density, kernel = setup.density, setup.kernel
    target, chains, seed = density.moved, setup.plan.chains, setup.plan.seed
    keys = chain_words(seed, range(chains))
    x = given_starts(density, init, chains, seed)
    given = x is not None
    x = random_starts(seed, 0, target, chains) if x is None else np.stack([target.started(one) for one in x])
    begun.wait_for_starts()
    for attempt in range(1, TRIES + 1):
        try:
            carries, lp, smooth = start_chains(kernel, target, setup.arrays, keys, np.asarray(x, dtype_of(Real())))
        except SpecError as error:  # raised while tracing, where JAX adds remarks of its own
            raise SpecError(str(error)) from None
        good = np.isfinite(lp) & np.asarray(smooth)
        if not given and attempt <= FAR_TRIES:
            good &= resolved(np.asarray(lp))
        if good.all():
            return carries
        bad = int(np.flatnonzero(~good)[0])
        if given or attempt == TRIES:
            raise start_error(density, np.asarray(target.drawn(x[bad])), given, TRIES)
        x = np.where(good[:, None], x, random_starts(seed, attempt, target, chains))
    raise AssertionError("unreachable")
