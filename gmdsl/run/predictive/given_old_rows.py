r"""New rows whose elements depend on those that were there: Gaussian processes and paths.

The model is declared once more on the old rows and the new ones behind them. There each variable keeps its old elements
(observed values, or posterior draws), and the new ones are drawn given them. For a multivariate normal over the joint
rows with the Cholesky factor L, $f_2 = m_2 + L_{21} L_{11}^{-1} (f_1 - m_1) + L_{22}\, \epsilon$; a path goes on from
its last value, gaps in it drawn first; independent elements are drawn alone.

This is right only if the law of the old elements is the same with the new rows and without them, as it is for a
covariance that is a function of two rows. That is checked at every draw.

Reference:
    Rasmussen, Williams, *Gaussian Processes for Machine Learning*, 2006, section 2.2.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array

from gmdsl.compiler.flat_target import Interned
from gmdsl.core.errors import SpecError
from gmdsl.core.runtime.precision import full_precision
from gmdsl.exact.imputed import imputed
from gmdsl.exact.missing import multivariate_normal, one_event
from gmdsl.graph.ancestral import complete
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor
from gmdsl.graph.factor_graph import FactorGraph, known
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.time_series import Scan
from gmdsl.graph.factors.wrapped import unwrapped
from gmdsl.graph.order import ancestors, ordered, reads_of
from gmdsl.models.model import Model
from gmdsl.models.operators.redeclare import redeclared
from gmdsl.run.predictive.extended import any_point
from gmdsl.spaces.space import dtype_of

AT_ONCE = 64  # draws side by side; each holds a covariance of all rows


def stacked(model: Model, data: Mapping[str, Any], extend: tuple[str, ...]) -> Model:
    """The model on the old rows and the new ones behind them.

    Args:
        model: the model that was sampled.
        data: what was given for the new rows. Data of extended variables hold the old rows themselves.
        extend: the extended variables.
    """
    makers = {child: factor for factor in model.factors for child in factor.children}
    whole = {n for n in data if any(reads_of(model, (n,)) & set(makers[name].parents) for name in extend)}
    values = {**model.data, **model.observed}
    together = {n: value if n in whole else _stack(n, values[n], np.asarray(value)) for n, value in data.items()}
    return redeclared("predict", model, together)


def _stack(name: str, old: Any, new: np.ndarray) -> np.ndarray:
    axes = [axis for axis, sizes in enumerate(zip(np.shape(old), new.shape, strict=True)) if len(set(sizes)) > 1]
    if new.ndim == 0 or len(axes) > 1:
        raise SpecError(
            f"predict(data={{{name!r}: ...}}): shape {new.shape} at the new rows and {np.shape(old)} at the old ones,"
            " but elements at the new rows depend on those at the old ones, so both are put in one array. Give it the"
            " old shape up to the number of rows; leave out what is no row."
        )
    return np.concatenate([np.asarray(old), new], axis=axes[0] if axes else 0)


def check_continued(joint: Model, model: Model, names: tuple[str, ...], resample: tuple[str, ...]) -> None:
    """Refuses variables whose new elements cannot be drawn given the old ones.

    Args:
        joint: the model on old and new rows.
        model: the model that was sampled.
        names: the variables whose elements depend on each other.
        resample: what is drawn anew.

    Raises:
        SpecError: a variable that is neither a multivariate normal along its rows nor a path, or one that is also
            drawn anew, or whose parameters are.
    """
    point = any_point(joint)
    for name in names:
        maker = next(factor for factor in joint.factors if name in factor.children)
        depends = f"predict(data=...): the elements of {name} depend on each other, so those at the new rows depend on"
        if name in resample:
            raise SpecError(
                f"{depends} those at the old ones, which resample=[{name!r}] would ignore. Leave {name} out of it: the"
                " new elements are drawn given the draws that there are."
            )
        above = [n for n in resample if n in ancestors(joint.factors, name) and _grown(joint, model, n) is None]
        if above:
            raise SpecError(
                f"{depends} those at the old ones, and {above[0]}, which resample=[{above[0]!r}] draws anew, is above"
                f" them. Keep the draws of {above[0]}."
            )
        axis = _grown(joint, model, name)
        normal = isinstance(maker, Distributed) and _is_normal(joint, maker, point)
        last = axis is not None and axis == len(joint.spaces[name].shape) - 1
        if not (normal and last) and not (isinstance(maker, Scan) and axis == 0):
            raise SpecError(
                f"{depends} what was observed at the old ones. They are drawn given that for a multivariate normal or"
                " a path of gm.scan with one more element per row, which this is not: it has shape"
                f" {model.spaces[name].shape} and, with the new rows behind, {joint.spaces[name].shape}. Write it as"
                f" one of these, or declare old and new rows together, observe {name} with NaN at the new ones by"
                ' .condition(..., missing="marginalise"), and gm.predict imputes them given the others.'
            )


def new_elements(
    joint: Model,
    fresh: Model,
    model: Model,
    keys: Array,
    draws: Mapping[str, Any],
    names: tuple[str, ...],
    resample: tuple[str, ...],
    extend: tuple[str, ...],
) -> dict[str, np.ndarray]:
    """Draws of what is random at the new rows, given the old rows, one for each posterior draw.

    Args:
        joint: the model on old and new rows.
        fresh: the model on what was given: the new rows, behind the old ones for what is below an extended variable.
        model: the model that was sampled.
        keys: one for each draw.
        draws: of the free variables of `model`, by name; the first axis numbers them.
        names: the variables whose elements depend on each other.
        resample: what is drawn anew.
        extend: what has more elements at the new data; all of them are given back.

    Returns:
        For each variable with more elements the new ones, and whole variables that are resampled or extended. What
        is below an extended one, and is drawn at the old rows too, is left to the model on all of them.

    Raises:
        SpecError: the law of the old elements is another with the new rows, or a covariance is singular.
    """
    grown = {name: axis for name, _ in joint.declared if (axis := _grown(joint, model, name)) is not None}
    plan = (names, resample, tuple(grown.items()), tuple(n for n in model.observed if _has_gaps(model.observed[n])))
    found, apart = _draw_all(Interned.of(joint), Interned.of(model), plan, keys, dict(draws))
    for name in names:
        _check_law(name, float(jnp.max(apart[name])), bool(np.isfinite(found[name]).all()))
    random = [child for factor in joint.factors if isinstance(factor, Conditional) for child in factor.children]
    given = {name: np.asarray(found[name]) for name in random if name in grown or name in resample}
    for name, axis in grown.items():
        if name not in given or name in extend:
            continue
        if fresh.spaces[name].shape != joint.spaces[name].shape:
            new = np.arange(model.spaces[name].shape[axis], joint.spaces[name].shape[axis])
            given[name] = np.take(given[name], new, axis + 1)
        elif name not in (*names, *resample):
            del given[name]
    return given


@functools.partial(jax.jit, static_argnums=2)
def _draw_all(joint: Interned, model: Interned, plan: Any, keys: Array, draws: Any) -> Any:
    """All random variables at old and new rows, and how far the law of the old elements has moved, at every draw."""

    def one(arguments: tuple[Array, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return _draw_one(joint.model, model.model, plan, *arguments)

    return jax.lax.map(one, (keys, draws), batch_size=AT_ONCE)


@full_precision
def _draw_one(joint: Any, model: Any, plan: Any, key: Array, draws: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    names, resample, grown, gaps = plan
    old = complete(model, key, draws)
    for number, factor in enumerate(model.factors):
        if isinstance(unwrapped(factor), Scan):  # of a multivariate normal gaps are left out of what is given
            filled = imputed(jax.random.fold_in(key, number), factor, old)
            old |= {name: value.astype(dtype_of(model.spaces[name])) for name, value in filled.items()}
    before = {child: unwrapped(factor) for factor in model.factors for child in factor.children}
    have, apart = known(joint), {}
    factors = ordered(joint.factors)
    for factor_key, factor in zip(jax.random.split(key, len(factors)), factors, strict=True):
        if isinstance(factor, Deterministic):
            have[factor.child] = factor.evaluate(have)
            continue
        children = [child for child in factor.children if child not in have]
        if any(child in names for child in children):
            name = children[0]
            draw = _go_on if isinstance(factor, Scan) else _given_old
            have[name], apart[name] = draw(factor_key, factor, before[name], have, old, name in gaps)
            continue
        fresh = [child for child in children if child in dict(grown) or child in resample]
        drawn = factor.draw(factor_key, have) if fresh and isinstance(factor, Conditional) else {}
        for child in children:
            have[child] = old[child] if child not in fresh else _put_first(old[child], drawn[child], dict(grown), child)
    random = {child for factor in factors if isinstance(factor, Conditional) for child in factor.children}
    return {name: have[name] for name in random}, apart


def _put_first(old: Any, drawn: Any, grown: Mapping[str, int], name: str) -> Array:
    """Independent elements: the old ones, where there are new ones behind them."""
    return drawn.at[tuple(slice(size) for size in jnp.shape(old))].set(old) if name in grown else drawn


def _given_old(key: Array, factor: Any, before: Any, have: Any, old: Any, gaps: bool) -> tuple[Array, Array]:
    """A multivariate normal whose first elements are known, and how far their law has moved."""
    seen = jnp.asarray(old[factor.child])
    law, alone = (_normal(one.distribution(values)) for one, values in ((factor, have), (before, old)))
    size, more = seen.shape[-1], law.event_shape[0] - seen.shape[-1]
    scale = jnp.max(jnp.abs(alone.covariance_matrix))
    moved = jnp.max(jnp.abs(law.covariance_matrix[..., :size, :size] - alone.covariance_matrix)) / scale
    shift = jnp.max(jnp.abs(law.loc[..., :size] - alone.loc))
    apart = jnp.maximum(moved, shift / (jnp.sqrt(scale) + jnp.max(jnp.abs(alone.loc))))
    there = jnp.concatenate([~jnp.isnan(seen), jnp.ones((*seen.shape[:-1], more), bool)], -1)
    lower = getattr(law, "scale_tril", None)
    if gaps or lower is None:
        both = there[..., :, None] & there[..., None, :]
        lower = jnp.linalg.cholesky(jnp.where(both, law.covariance_matrix, jnp.eye(size + more)))
    mean = jnp.broadcast_to(law.loc, there.shape)
    lower = jnp.broadcast_to(lower, (*there.shape, size + more))
    gap = jnp.where(there[..., :size], seen - mean[..., :size], 0.0)
    white = solve_triangular(lower[..., :size, :size], gap[..., None], lower=True)[..., 0]
    noise = jax.random.normal(key, (*seen.shape[:-1], more), mean.dtype)
    moves = lower[..., size:, :] @ jnp.concatenate([white, noise], -1)[..., None]
    return jnp.concatenate([jnp.nan_to_num(seen), mean[..., size:] + moves[..., 0]], -1), apart


def _go_on(key: Array, factor: Any, before: Any, have: Any, old: Any, gaps: bool) -> tuple[Array, Array]:
    """A path whose first values are known, and how far their law has moved."""
    del gaps
    name = factor.child
    path = factor.draw_after(key, have, old[name])
    terms, alone = (one.pointwise(values)[name] for one, values in ((factor, {**have, name: path}), (before, old)))
    moved = jnp.max(jnp.abs(terms[: len(alone)] - alone)) / (1.0 + jnp.max(jnp.abs(alone)))
    return path, moved


def _check_law(name: str, apart: float, finite: bool) -> None:
    if not finite or np.isnan(apart):
        raise SpecError(
            f"predict(data=...): the covariance of {name} over the old and new rows is not positive definite at some"
            " draws, so the new elements cannot be drawn given the old ones. Two rows may be the same: add noise to"
            " the diagonal (kernel(x, x) + 1e-4 * jnp.eye(len(x))), or use double precision,"
            ' jax.config.update("jax_enable_x64", True).'
        )
    if apart > 10.0 * float(np.sqrt(jnp.finfo(float).eps)):
        raise SpecError(
            f"predict(data=...): the law of {name} at the old rows is another when the new rows stand behind them (it"
            f" moves by {apart:.2g} of its size), so the new elements cannot be drawn given the old ones. Let the mean"
            " be a function of each row and the covariance one of each two rows, without sums, means or sizes over all"
            " rows, and give new values of all data that have rows."
        )


def _grown(joint: FactorGraph, model: FactorGraph, name: str) -> int | None:
    """The one axis along which a variable has more elements; None without one."""
    sizes = list(zip(model.spaces[name].shape, joint.spaces[name].shape, strict=True))
    axes = [axis for axis, (before, after) in enumerate(sizes) if before != after]
    return axes[0] if len(axes) == 1 and sizes[axes[0]][0] < sizes[axes[0]][1] else None


def _is_normal(joint: FactorGraph, maker: Factor, point: Mapping[str, Any]) -> bool:
    found: list[bool] = []
    shapes = {n: jax.ShapeDtypeStruct(np.shape(v), jnp.result_type(v)) for n, v in point.items()}
    constants = dict(joint.constants)
    jax.eval_shape(lambda v: found.append(_normal(maker.distribution({**v, **constants})) is not None), shapes)  # ty: ignore
    return found[0]


def _normal(distribution: Any) -> Any:
    return multivariate_normal(one_event(distribution))


def _has_gaps(value: Any) -> bool:
    return bool(np.isnan(np.asarray(value, float)).any())
