"""Predictions on new rows: the model is declared anew there, and drawn given each posterior draw.

The groups are ArviZ's: `predictions`, and `predictions_constant_data` for the rows themselves.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gmdsl.compiler.flat_target import Interned
from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.random.keys import seed_key
from gmdsl.graph.ancestral import check_domains
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.order import reads_of
from gmdsl.models.declare.coords import labels_of
from gmdsl.models.model import Model
from gmdsl.models.operators.redeclare import redeclared
from gmdsl.results.tree import as_tree, attributes
from gmdsl.run.predictive.extended import any_point, check_extended, dependent, joined
from gmdsl.run.predictive.given_old_rows import check_continued, new_elements, stacked
from gmdsl.run.predictive.points import check_drawn, completed, posterior_points, refuse_energies, with_group
from gmdsl.run.predictive.summed_labels import of_new_rows, with_labels


def predictions(
    tree: Any,
    model: Model,
    data: Mapping[str, Any],
    coords: Mapping[str, Any],
    resample: tuple[str, ...],
    seed: int,
    extend: tuple[str, ...] = (),
) -> Any:
    """The tree with predictions at new data; see `gm.predict`."""
    free, shape = posterior_points("predict", tree, model)
    model, labels = with_labels(model, free, data, (*resample, *extend), seed)
    free |= labels
    fresh = redeclared("predict", model, data)
    own = of_new_rows(fresh, model, tuple(labels), tuple(data))
    resample = tuple(dict.fromkeys((*resample, *(name for name in own if name not in extend))))
    _check_resampled(fresh, model, resample)
    going_on = dependent(fresh, model, tuple(name for name in extend if name in model.free), tuple(data))
    check_extended(fresh, model, extend, going_on)
    drawn = tuple(name for name in model.observed if name not in data)
    refuse_energies("predict(data=...)", fresh, (*drawn, *resample))
    check_drawn("predict", fresh, (*drawn, *resample))
    kept = tuple(name for name in model.free if name not in (*resample, *extend))
    together = (*dependent(fresh, model, (*drawn, *kept, *resample), tuple(data)), *going_on)
    kept = tuple(name for name in kept if name not in together)
    _check_upstream(fresh, model, kept)
    for name in kept:
        if fresh.spaces[name].shape != model.spaces[name].shape:
            raise SpecError(
                f"predict(data=...): {name} has shape {fresh.spaces[name].shape} at the new data, but its draws have"
                f" {model.spaces[name].shape}. Keep that size, draw all of it anew by resample=[{name!r}], or what was"
                f" not there by extend=[{name!r}]."
            )
    fresh = dataclasses.replace(fresh, coords=_coords(fresh, model, coords))
    keys = jax.random.split(seed_key("predict", seed), shape[0] * shape[1])
    have = {name: free[name] for name in kept}
    if together:
        joint = stacked(model, data, extend)
        check_continued(joint, model, together, resample)
        have |= new_elements(joint, fresh, model, keys, free, together, resample, extend)
    elif extend:
        anew = completed(Interned.of(fresh), (), keys, have, False)
        have |= {name: joined(free[name], anew[name]) for name in extend}
    values = completed(Interned.of(fresh), (), keys, have, False)
    check_domains("predict(data=...)", fresh, values, 1)
    names = [
        name
        for name, _ in fresh.declared
        if name in {*drawn, *together, *resample, *extend, *labels, *fresh.deterministic}
    ]
    found = {name: np.asarray(values[name]).reshape(*shape, *values[name].shape[1:]) for name in names}
    rows = {name: np.array(value) for name, value in {**fresh.data, **fresh.observed}.items()}
    groups = {"predictions": found, "predictions_constant_data": rows}
    added = as_tree(fresh, groups, {**attributes(), "seed": seed})
    for group in added.children:
        tree = with_group(tree, group, added)
    return tree


def _check_upstream(fresh: Model, model: Model, kept: tuple[str, ...]) -> None:
    """Refuses draws that belong to the old rows, because their law reads data that have changed."""
    changed = tuple(name for name, value in fresh.data.items() if not np.array_equal(value, model.data[name]))
    moved = reads_of(model, changed)
    point = any_point(model)
    for factor in (f for f in model.factors if isinstance(f, Conditional) and moved & set(f.parents)):
        for name in set(factor.children) & set(kept):
            through = sorted(moved & factor.parents_of(name, point))
            if through:
                raise SpecError(
                    f"predict(data=...): {name} depends on {through[0]}, which changes, so its draws belong to the old"
                    f" rows. Draw it anew from its conditional by resample=[{name!r}], or only what was not there by"
                    f" extend=[{name!r}]."
                )


def _check_resampled(fresh: Model, model: Model, resample: tuple[str, ...]) -> None:
    makers = {c: f for f in fresh.factors if isinstance(f, Conditional) for c in f.children}
    for name in resample:
        if name not in model.free:
            if name in model.deterministic:
                raise SpecError(f"predict(resample=[{name!r}]): {name} is computed. Resample what it is computed from.")
            raise unknown_name(f"predict(resample=[{name!r}])", name, model.free, "free variables")
        together = makers[name].children if name in makers and not makers[name].stepwise else ()
        if not set(together) <= set(resample):
            rest = ", ".join(child for child in together if child not in resample)
            raise SpecError(f"predict(resample=[{name!r}]): it is drawn together with {rest}. Resample both.")


def _coords(fresh: Model, model: Model, given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Labels of the dimensions at the new sizes; old labels stay where the size did."""
    sizes: dict[str, int] = {}
    shapes = {name: space.shape for name, space in fresh.declared} | {n: np.shape(v) for n, v in fresh.data.items()}
    for name, labels in fresh.dims:
        for label, size in zip(labels, shapes[name], strict=False):
            if sizes.setdefault(label, size) != size:
                raise SpecError(
                    f"predict(data=...): the dimension {label} has {sizes[label]} and {size} elements at the new data."
                    " Give all data along it the same rows."
                )
    for label, values in given.items():
        if label not in sizes:
            raise unknown_name(f"predict(coords={{{label!r}: ...}})", label, sizes, "dimensions")
        if len(values) != sizes[label]:
            raise SpecError(
                f"predict(coords=...): {label} has {len(values)} labels, but {sizes[label]} elements at the new data."
                " Give one label per element."
            )
    kept = {label: labels for label, labels in model.coords if len(labels) == sizes.get(label, len(labels))}
    new = {label: labels_of(f"predict(coords={{{label!r}: ...}})", values) for label, values in given.items()}
    return tuple({**kept, **new}.items())
