r"""A path with gaps: $p(y_{obs})$ of a Gaussian path, of a path of labels, or of any path up to its last value.

Gaps at the end of a path are forecasts: they integrate to one whatever the law is, so their terms drop out.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.distributions.domain import in_domain
from gmdsl.exact.gaussian.from_time_series import path_steps
from gmdsl.exact.gaussian.path_gaps import drawn_gaps, filtered
from gmdsl.exact.label_path import drawn_states, evidence_of, label_states, label_steps, seen_terms
from gmdsl.graph.factor import Values
from gmdsl.graph.factors.time_series import Scan


def only_at_end(factor: Scan, values: Values) -> bool:
    """Whether gaps of a path can be integrated out at its end alone."""
    if factor.space.discrete:
        return factor.steps.carry is not None or label_states(factor.space) is None
    return path_steps(factor, values) is None


def path_terms(factor: Scan, values: Values) -> Array:
    """The log-density of what is seen of each value given what is seen before; time is the first axis."""
    path = jnp.asarray(values[factor.child])
    if factor.space.discrete:
        if (labels := label_steps(factor, values)) is not None:
            return seen_terms(labels, evidence_of(labels, path))[0]
    elif (steps := path_steps(factor, values)) is not None:
        terms = filtered(steps, path.reshape(factor.length, -1))[0]
        return jnp.where(_inside(factor, values), terms, -jnp.inf) if factor.guarded else terms
    return _terms_before_end(factor, values, path)


def imputed_path(key: Array, factor: Scan, values: Values, seen: Any) -> Array:
    """A draw of the path given what was seen of it, which is kept."""
    seen = jnp.asarray(seen)
    if factor.space.discrete:
        if (labels := label_steps(factor, values)) is not None:
            return drawn_states(key, labels, evidence_of(labels, seen))
    elif (steps := path_steps(factor, values)) is not None:
        return drawn_gaps(key, steps, seen.reshape(factor.length, -1)).reshape(seen.shape)
    return _continued(key, factor, values, seen)


def _terms_before_end(factor: Scan, values: Values, path: Array) -> Array:
    """The terms of the values that are seen, all before the first gap."""
    gaps = jnp.isnan(path)
    somewhere = factor.space.constraint.feasible_like(path) if not factor.space.discrete else jnp.zeros(path.shape)
    whole = jnp.where(gaps, somewhere, path)
    whole = whole.astype(int) if factor.space.discrete else whole
    terms = factor.pointwise({**values, factor.child: whole})[factor.child]
    gone = jnp.any(gaps, axis=tuple(range(1, gaps.ndim)))
    return jnp.where(gone.reshape(-1, *(1,) * (terms.ndim - 1)), 0.0, terms)


def _inside(factor: Scan, values: Values) -> Array:
    """Whether all parameters of all steps of a Gaussian path are inside of their constraints."""
    steps, zero = factor.steps, jnp.zeros(factor.space.shape[1:])
    inside = jnp.all(in_domain(steps.start(values), factor.guarded))
    if factor.length == 1:
        return inside

    def one(_: Array, rows: Values) -> Array:
        return jnp.all(in_domain(steps.following(zero, None, values, rows)[1], factor.guarded))

    return inside & jnp.all(jax.vmap(one)(jnp.arange(factor.length - 1), steps.rows(values)))


def _continued(key: Array, factor: Scan, values: Values, seen: Array) -> Array:
    """The path from its first gap on, step by step."""
    steps = factor.steps
    key_first, key_rest = jax.random.split(key)
    drawn = steps.start(values).sample(key_first)
    dtype = jnp.asarray(drawn).dtype

    def kept(value: Array, drawn: Any) -> Array:
        return jnp.where(jnp.isnan(value), drawn, jnp.nan_to_num(value).astype(dtype))

    def advance(state: Any, now: Any) -> tuple[Any, Array]:
        previous, carry = state
        step_key, rows, value = now
        carry, distribution = steps.following(previous, carry, values, rows)
        after = kept(value, jnp.asarray(distribution.sample(step_key), dtype))
        return (after, carry), after

    first = kept(seen[0], drawn)
    keys = jax.random.split(key_rest, factor.length - 1)
    _, rest = jax.lax.scan(advance, (first, steps.start_carry(values)), (keys, steps.rows(values), seen[1:]))
    return jnp.concatenate([first[None], rest])
