r"""`gm.expectation`: $E[f] = \int f(x)\, p(x)\, dx$ with its error, by the best way that there is.

Exactly for discrete models, by quadrature where rules leave at most three dimensions, else by Monte Carlo with its
standard error. What the function does not read is integrated out first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gmdsl.compiler.integrals.integrands import NoIntegralError
from gmdsl.compiler.integrals.log_normalizer import integrated
from gmdsl.compiler.integrals.quadrature import MOST_DIMENSIONS, Quadrature, integrals
from gmdsl.core.errors import SpecError, check_positive, unknown_name
from gmdsl.core.pytrees.function import Function
from gmdsl.core.random.keys import seed_key
from gmdsl.core.settings import checked_settings
from gmdsl.exact.discrete_sums import expectation_of
from gmdsl.exact.marginal import accounts
from gmdsl.graph.evaluate import completed, log_density
from gmdsl.graph.factor import Deterministic
from gmdsl.graph.factor_graph import known
from gmdsl.graph.factors.histogram import grids_of, histogram_in
from gmdsl.graph.order import ancestors
from gmdsl.inference.weights import normalized_weights
from gmdsl.models.model import Model
from gmdsl.results.estimate import error_of_mean
from gmdsl.results.reliability import HEAVY, judge, pareto_k
from gmdsl.run.sample import sample
from gmdsl.spaces.space import abstract
from gmdsl.spaces.states import joint_states

NODES = 5  # in each cell of a counted density: exact for polynomials of degree 9
MOST_POINTS = 2**20
NO_MEAN = 0.85  # shape of a tail from draws; the mean is infinite from 1 on, and the estimate has an error of 0.1
FAR_APART = 1.05  # R-hat
MOST_TAILS = 100  # elements of a function whose tails are looked at
MOST_STATES = 64  # of discrete variables that the function reads, one integral for each


@dataclass(frozen=True)
class Expectation:
    """The mean of a function.

    Attributes:
        value: the mean, in the shape of the function's result.
        error: its standard error (Monte Carlo) or numerical error, in the same shape.
        method: how it came about, and "suspect" with the reason where the error may not cover.
    """

    value: np.ndarray
    error: np.ndarray
    method: str

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        def shown(numbers: np.ndarray) -> str:
            return np.array2string(numbers, precision=5, threshold=8, floatmode="maxprec")

        return f"Expectation({shown(self.value)} +- {shown(self.error)}, {self.method})"


class MonteCarlo(eqx.Module):
    """Independent draws of a model that can be drawn from.

    Attributes:
        draws: how many.
    """

    draws: int = 10_000

    def __check_init__(self) -> None:
        check_positive(self, "draws")


@checked_settings
def expectation(
    model: Any, function: Callable[[Mapping[str, Array]], Any], method: Any = None, *, seed: int = 0, **settings: Any
) -> Expectation:
    """The expectation of a function under a model, with its error.

    Args:
        model: a model, observed in part or not at all, normalised or not; or a tree of draws.
        function: from a dict of named values at one point to a number or an array.
        method: `gm.Quadrature(...)`, `gm.MonteCarlo(...)` or a sampler such as `gm.NUTS()`. By default exact or by
            quadrature where that works, else by independent draws where the model can be drawn from.
        seed: for draws.
        settings: of `gm.sample`, where the method is a sampler.

    Returns:
        The value, its error, and how it came about.

    Raises:
        SpecError: the mean does not seem to exist, or nothing above works; the message says what does.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> model = gm.joint(a=dist.Normal(1.0, 2.0), b=lambda a: dist.Normal(a, 1.0))
    >>> found = gm.expectation(model, lambda v: v["b"] ** 2)
    >>> round(float(found), 8), found.method
    (6.0, 'a: integrated out, linear-Gaussian; quadrature over b')
    """
    if hasattr(model, "children") and "posterior" in model.children:
        return _of_tree(model, function)
    model = getattr(model, "model", model)
    if not isinstance(model, Model) or model.inputs or not model.free:
        raise SpecError("expectation(...): a model with free variables and no inputs is needed, or a tree of draws.")
    if not callable(function):
        raise SpecError(f"expectation(...): a function of the named values is needed, not {type(function).__name__}.")
    if isinstance(method, MonteCarlo):
        return _by_draws(model, function, method.draws, seed)
    if method is not None and not isinstance(method, Quadrature):
        return _of_tree(sample(model, method, seed=seed, progress=False, **settings), function)
    if settings:
        raise SpecError(f"expectation({next(iter(settings))}=...): settings of gm.sample go with a sampler.")
    if all(model.spaces[name].discrete for name in model.free):
        return _by_sum(model, function)
    probed = _probe_function(model, function)
    if method is None and (counted := _by_cells(model, function, probed[1])) is not None:
        return counted
    try:
        return _by_quadrature(model, function, *probed, method or Quadrature())
    except NoIntegralError as error:
        raise SpecError(f"expectation(...): {error}") from None
    except SpecError as error:
        if method is not None or not model.capabilities().drawable:
            raise SpecError(f"expectation(...): {error} Or draw: expectation(model, function, gm.NUTS()).") from None
    return _by_draws(model, function, MonteCarlo().draws, seed)


def _by_sum(model: Model, function: Any) -> Expectation:
    with jax.enable_x64(True):
        value = np.asarray(expectation_of(model, function))
    account = "; ".join((*accounts(model), f"sum over {', '.join(model.free)}"))
    return Expectation(value, 1e-14 * (1.0 + np.abs(value)), account)


def _by_quadrature(
    model: Model, function: Any, shape: tuple[int, ...], read: set[str], settings: Quadrature
) -> Expectation:
    left = integrated(model, tuple(read))
    labels = tuple(name for name in left.free if left.spaces[name].discrete)
    if len(labels) == len(left.free):
        return _by_sum(left, function)
    states = joint_states({name: left.spaces[name] for name in labels}, MOST_STATES) if labels else {}
    if states is None:
        raise SpecError(f"quadrature: {', '.join(labels)} have more than {MOST_STATES} states.")
    if sum(np.prod(left.spaces[name].free_shape) for name in left.free if name not in labels) > MOST_DIMENSIONS:
        raise SpecError(f"quadrature over {', '.join(left.free)}: more than {MOST_DIMENSIONS} dimensions.")
    count = len(next(iter(states.values()))) if states else 1
    rows = [{name: np.asarray(rows[i]) for name, rows in states.items()} for i in range(count)]
    parts = [integrals(left.condition(row) if row else left, Function(function), settings) for row in rows]
    totals = np.array([part.log_total for part in parts])
    weight = np.exp(totals - totals.max())
    weight /= weight.sum()
    mean = sum(w * part.mean for w, part in zip(weight, parts, strict=True))
    error = sum(
        w * (part.mean_error + part.log_total_error * np.abs(part.mean)) for w, part in zip(weight, parts, strict=True)
    )
    rest = ", ".join(name for name in left.free if name not in labels)
    told = [f"sum over {', '.join(labels)}"] if labels else []
    account = "; ".join((*accounts(left), *told, f"quadrature over {rest}"))
    account += next((part.doubt for part in parts if part.doubt), "")
    return Expectation(np.reshape(mean, shape), np.reshape(error, shape), account)


def _by_cells(model: Model, function: Any, read: set[str]) -> Expectation | None:
    """By counting: Gauss-Legendre nodes in every cell, where the density is constant in each; None elsewhere."""
    try:
        left = integrated(model, tuple(read))
    except SpecError:
        return None
    terms = [factor for factor in left.factors if not isinstance(factor, Deterministic)]
    cells = grids_of(left)
    grids = {name: cells[name] for name in left.free if name in cells}
    if not all(map(histogram_in, terms)) or len(grids) < len(left.free):
        return None
    axes, weights = [], []
    with jax.enable_x64(True):
        for grid in grids.values():
            nodes, shares = np.polynomial.legendre.leggauss(1 if grid.edges is None else NODES)
            axes.append(np.asarray(grid.points(jnp.asarray((nodes + 1) / 2))).ravel())
            weights.append(np.log(shares[:, None] / 2 * np.asarray(grid.widths)).ravel())
        if np.prod([len(axis) for axis in axes]) > MOST_POINTS:
            return None
        mesh = np.indices([len(axis) for axis in axes]).reshape(len(axes), -1)
        kinds = [left.spaces[name].discrete for name in grids]
        points = {
            n: jnp.asarray(a[i], int if k else float) for n, a, i, k in zip(grids, axes, mesh, kinds, strict=True)
        }
        width = sum(w[i] for w, i in zip(weights, mesh, strict=True))

        def one(point: dict[str, Array]) -> tuple[Array, Array]:
            return log_density(left, {**known(left), **point}), jnp.asarray(function(completed(left, point)), float)

        heights, values = jax.vmap(one)(points)
        share = np.asarray(jax.nn.softmax(heights + width))
        mean = np.tensordot(share, np.asarray(values), axes=1)
    account = "; ".join((*accounts(left), f"by counting over {', '.join(grids)}"))
    return Expectation(mean, 1e-14 * (1.0 + np.abs(mean)), account)


class _Watched(dict):
    """A dict that notes which names are read."""

    def __init__(self, values: Mapping[str, Any], known: tuple[str, ...]):
        super().__init__(values)
        self.read: set[str] = set()
        self.known = known

    def __getitem__(self, name: str) -> Any:
        if not isinstance(name, str):
            raise _no_dict(self.known)
        if name not in self:
            raise unknown_name("expectation(...)", name, self.known)
        self.read.add(name)
        return super().__getitem__(name)


def _no_dict(known: tuple[str, ...]) -> SpecError:
    """The error for a function that takes the dict of values for the value itself."""
    name = known[0] if known else "x"
    return SpecError(
        f"expectation(...): the function gets a dict of all values by name, and used it as an array. Write"
        f" lambda v: v[{name!r}] ** 2 for the square of {name}."
    )


def _probe_function(model: Model, function: Any) -> tuple[tuple[int, ...], set[str]]:
    """The shape of the function's result, and the free variables on which it depends."""
    found: list[_Watched] = []

    def run(values: dict[str, Any]) -> Array:
        found.append(_Watched({**known(model), **values}, (*model.random, *model.deterministic)))
        try:
            return jnp.asarray(function(found[0]))
        except TypeError as error:
            if _Watched.__name__ in str(error):
                raise _no_dict(found[0].known) from error
            raise

    shapes = {name: abstract(space) for name, space in model.declared}
    result = jax.eval_shape(run, shapes)
    above = {name for read in found[0].read if read in model.spaces for name in ancestors(_compute(model), read)}
    return result.shape, (found[0].read | above) & set(model.free)


def _compute(model: Model) -> list[Any]:
    names = set(model.deterministic)
    return [factor for factor in model.factors if set(factor.children) & names]


def _by_draws(model: Model, function: Any, draws: int, seed: int) -> Expectation:
    if not (offer := model.capabilities()).drawable:
        raise SpecError(
            f"expectation(..., gm.MonteCarlo()): {offer.reasons['drawable']}. Give a sampler, such as gm.NUTS()."
        )
    values = model.sample(seed_key("expectation", seed), draws)
    fixed = known(model)
    found = np.asarray(jax.vmap(lambda v: jnp.asarray(function({**fixed, **v}), float))(values), float)
    account = f"{draws} independent draws{_doubts(found)}"
    error = np.hypot(error_of_mean(found) if draws > 1 else np.inf, _rare_error(found))
    return Expectation(found.mean(axis=0), error, account)


def _of_tree(tree: Any, function: Any) -> Expectation:
    """From draws: chains with a standard error that knows of their autocorrelation, or weighted particles."""
    import arviz_stats
    import xarray

    weighted = "particles" in tree.children
    group = tree["particles" if weighted else "posterior"]
    leading = () if weighted else ("chain", "draw")
    draws = {n: np.asarray(v.transpose(*leading, ...)) for n, v in group.data_vars.items() if n != "log_weight"}
    found = np.asarray(jax.vmap(jax.vmap(lambda v: jnp.asarray(function(v), float)))(draws), float)
    if weighted:
        return _of_particles(tree, group["log_weight"].values.ravel(), found.reshape(-1, *found.shape[2:]))
    axes = [f"axis_{i}" for i in range(found.ndim - 2)]
    data = xarray.Dataset({"f": (("chain", "draw", *axes), found)})
    flat = found.reshape(-1, *found.shape[2:])
    error = np.hypot(np.nan_to_num(np.asarray(arviz_stats.mcse(data, method="mean")["f"])), _rare_error(flat))
    account = f"{found.shape[0]} chains of {found.shape[1]} draws{_doubts(flat)}"
    with np.errstate(all="ignore"):  # an element that is constant, or at one distance from its median, has none
        ranked = arviz_stats.rhat(data)["f"] if flat.size > 16 else 1.0
    rhat = np.nanmax(np.append(np.asarray(ranked, float).ravel(), 1.0))
    if rhat > FAR_APART:
        account += f"; suspect: the chains disagree, R-hat {rhat:.2f}, and the error does not cover"
    return Expectation(found.mean(axis=(0, 1)), error, account)


def _of_particles(tree: Any, log_weight: np.ndarray, found: np.ndarray) -> Expectation:
    """The weighted mean; its account says where the weights cannot be trusted."""
    weight = normalized_weights(log_weight.astype(float))
    mean = np.tensordot(weight, found, axes=1)
    error = np.sqrt(np.tensordot(weight**2, (found - mean) ** 2, axes=1)) / np.sqrt(max(1e-12, 1.0 - weight.max()))
    verdict = judge(log_weight, tree.attrs.get("weights_outgrown", ""))
    account = f"{weight.size} weighted particles" + ("" if verdict.status == "ok" else f"; suspect: {verdict.evidence}")
    return Expectation(mean, error, account)


def _rare_error(found: np.ndarray) -> np.ndarray:
    """What values that no draw has shown may add: of events of probability 3 in n one draw in twenty runs sees none."""
    low, high = found.min(axis=0), found.max(axis=0)
    indicator = (found == found.astype(bool)).all(axis=0)
    return 1.5 / len(found) * np.where(indicator, 1.0, high - low)


def _doubts(found: np.ndarray) -> str:
    """Words on the tail of a function's values, for its account; empty where the standard error can be trusted.

    Raises:
        SpecError: the tail is so heavy that the mean does not seem to exist.
    """
    flat = np.abs(found - np.median(found, axis=0)).reshape(len(found), -1)
    if not np.isfinite(flat).all():
        raise SpecError("expectation(...): the function is not finite at some draws, so that it has no mean there.")
    with np.errstate(divide="ignore"):
        shapes = [pareto_k(np.log(column)) for column in flat.T[:MOST_TAILS]]
    k = float(np.nanmax(np.append(shapes, -np.inf)))
    if k > NO_MEAN:
        raise SpecError(
            f"expectation(...): the mean of the function does not seem to exist, or no number of draws tells it: its"
            f" values have a tail of shape {k:.2f}, and from 1 on there is no mean. Take a function that grows less,"
            " such as a quantile or jnp.clip of it."
        )
    return f"; suspect: its values have a tail of shape {k:.2f}, and the error may not cover" if k > HEAVY else ""
