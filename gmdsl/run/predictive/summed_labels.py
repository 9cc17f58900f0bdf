r"""New rows of a model whose labels were summed out: the labels come back, given what was observed.

For labels k, old rows y and new rows $\tilde y$,
$p(\tilde y \mid y, \theta) = \sum_k p(\tilde y \mid k, \theta)\, p(k \mid y, \theta)$. At each posterior draw of
$\theta$ the labels are drawn from $p(k \mid y, \theta)$, and from there on they are free variables like others: a path
of states goes on from its last one, a label that old and new rows share is the same in both, and labels of the new rows
alone are drawn with them.

Reference:
    Scott, *Bayesian methods for hidden Markov models*, JASA, 2002.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from gmdsl.compiler.flat_target import Interned
from gmdsl.core.errors import SpecError
from gmdsl.core.random.keys import seed_key
from gmdsl.core.runtime.precision import full_precision
from gmdsl.exact.imputed import hidden_states, hides_labels
from gmdsl.exact.marginal import Marginal
from gmdsl.graph.ancestral import complete
from gmdsl.graph.factors.time_series import Scan
from gmdsl.graph.factors.wrapped import unwrapped
from gmdsl.graph.order import reads_of
from gmdsl.models.model import Model
from gmdsl.models.operators.hidden_part import undone

AT_ONCE = 64  # draws side by side


def with_labels(
    model: Model, free: Mapping[str, Any], data: Mapping[str, Any], named: tuple[str, ...], seed: int
) -> tuple[Model, dict[str, Any]]:
    """The model with labels that new rows depend on as free variables, and a draw of them at each posterior draw.

    Args:
        model: the model that was sampled.
        free: draws of its free variables, by name; the first axis numbers them.
        data: new values, by name.
        named: what is to be drawn anew, or extended.
        seed: of the draws.

    Returns:
        The model, and the draws of its labels by name; the same model where no label is needed.

    Raises:
        SpecError: labels that cannot be drawn given what was observed.
    """
    sums = [(i, f) for i, f in enumerate(model.factors) if _is_needed(model, unwrapped(f), data, named)]
    anew, tied = model, []
    for index, factor in sums:
        marginal: Any = unwrapped(factor)
        anew, names = undone(anew, factor, marginal)
        tied.append((index, tuple((inner, names[inner]) for inner in marginal.hidden)))
    if not tied:
        return model, {}
    keys = jax.random.split(seed_key("recover", seed), len(next(iter(free.values()))))
    return anew, dict(_drawn(Interned.of(model), tuple(tied), keys, dict(free)))


def of_new_rows(fresh: Model, model: Model, names: tuple[str, ...], given: tuple[str, ...]) -> tuple[str, ...]:
    """The labels that belong to the new rows alone: of another number there, or with a law that reads them.

    Args:
        fresh: the model at the new data.
        model: the model with its labels.
        names: of the labels.
        given: data that have new values.
    """
    makers = {child: factor for factor in fresh.factors for child in factor.children}
    reads = reads_of(model, given)
    return tuple(
        name
        for name in names
        if not isinstance(makers[name], Scan)
        and (fresh.spaces[name].shape != model.spaces[name].shape or reads & set(makers[name].parents))
    )


def _is_needed(model: Model, factor: Any, data: Mapping[str, Any], named: tuple[str, ...]) -> bool:
    """Whether new rows of what a factor makes depend on the labels that it sums out at the old ones."""
    if not isinstance(factor, Marginal) or not hides_labels(factor):
        return False
    if set(named) & set(factor.hidden):
        return True
    if not (reads := reads_of(model, tuple(data))) & set(factor.parents):
        return False
    old = {**model.data, **model.observed}
    resized = any(np.shape(value) != np.shape(old[name]) for name, value in data.items() if name in old)
    return resized or not _has_own_labels(factor, reads)


def _has_own_labels(factor: Marginal, reads: set[str]) -> bool:
    """Whether labels belong to one row each, as many as there are rows; then they are drawn with the rows."""
    part, outside = factor.part, dict(factor.pairs)
    sizes = {inner: part.spaces[inner].shape for inner, _ in factor.made}
    labels = {name: part.spaces[name].shape for name in factor.hidden}
    for path in (f for f in part.factors if isinstance(f, Scan) and f.child in factor.hidden):
        if reads & {outside.get(name, name) for name in path.steps.each}:
            return False  # later times
    apart = getattr(factor.rule, "axes", None) is not None
    return apart and all(size[: len(shape)] == shape != () for shape in labels.values() for size in sizes.values())


@functools.partial(jax.jit, static_argnums=1)
def _drawn(model: Interned, tied: Any, keys: Array, free: Any) -> dict[str, Array]:
    """Draws of labels given what was observed, one for each posterior draw."""
    return jax.lax.map(lambda point: _at_draw(model.model, tied, *point), (keys, free), batch_size=AT_ONCE)


@full_precision
def _at_draw(model: Any, tied: Any, key: Array, values: Any) -> dict[str, Array]:
    have, found = complete(model, key, values), {}
    for number, (index, names) in enumerate(tied):
        factor: Any = unwrapped(model.factors[index])
        known = hidden_states(jax.random.fold_in(key, number), factor, have)
        if isinstance(known, str):
            raise SpecError(
                f"predict(data=...): {', '.join(factor.hidden)} was summed out, and new rows of {factor.name} depend on"
                f" it, but it cannot be drawn given what was observed ({known}). Keep it in the model, let gm.Gibbs"
                " move it, and predict from there."
            )
        found |= {outer: known.draw[inner] for inner, outer in names}
    return found
