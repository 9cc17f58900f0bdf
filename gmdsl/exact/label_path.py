r"""A path of labels of which some are missing: the forward algorithm, and draws of what is missing.

With $a_t(k) = p(k_t = k \mid \text{seen before } t)$ a label that is seen adds $\log a_t(k)$, and one that is missing
is summed over: $a_{t+1} = a_t T_t$ from what is left of $a_t$. The cost is linear in the length. Draws go back from
the end.

Reference:
    Rabiner, *A tutorial on hidden Markov models*, Proceedings of the IEEE, 1989, section III.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.numerics import safe_logsumexp
from gmdsl.distributions.domain import log_prob
from gmdsl.graph.factor import Values
from gmdsl.graph.factors.time_series import Scan
from gmdsl.spaces.from_constraint import with_shape
from gmdsl.spaces.space import Space
from gmdsl.spaces.states import joint_states

MOST_LABELS = 512  # joint states of one value of the path


class LabelSteps(NamedTuple):
    """A path of labels step by step.

    Attributes:
        states: the values that one step can have.
        first: log-probabilities of the first one.
        steps: log-probabilities of the next one, in rows for the one before; one table, or one per step.
    """

    states: Array
    first: Float[Array, " states"]
    steps: Float[Array, "... states states"]


def label_states(space: Space) -> Array | None:
    """Every value that one step of a path can have; None where they cannot be listed."""
    found = None
    if space.discrete and space.cardinality is not None:
        found = joint_states({"step": _one_step(space)}, MOST_LABELS)
    return None if found is None else found["step"]


def label_steps(factor: Scan, values: Values) -> LabelSteps | None:
    """The tables of a path of labels given its parents; None where it has too many states, or a carry."""
    states = label_states(factor.space) if factor.steps.carry is None else None
    if states is None:
        return None

    def total(distribution: Any, state: Array) -> Array:
        return jnp.sum(log_prob(distribution, state, factor.guarded))

    first = jax.vmap(lambda state: total(factor.steps.start(values), state))(states)
    rows = factor.steps.rows(values)

    def table(rows: Values) -> Array:
        def after(before: Array) -> Array:
            _, distribution = factor.steps.following(before, None, values, rows)
            return jax.vmap(lambda state: total(distribution, state))(states)

        return jax.vmap(after)(states)

    return LabelSteps(states, first, jax.vmap(table)(rows) if rows else table({}))


def seen_terms(found: LabelSteps, evidence: Float[Array, "time states"]) -> tuple[Float[Array, " time"], Array]:
    """The log-probability of what was seen at each step given the steps before, and of each state given all up to it.

    Args:
        found: the path.
        evidence: what each step adds to the log-probability of each state.

    >>> coin = LabelSteps(jnp.arange(2), jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([[0.9, 0.1], [0.2, 0.8]])))
    >>> terms, after = seen_terms(coin, jnp.array([[0.0, -jnp.inf], [0.0, 0.0], [-jnp.inf, 0.0]]))
    >>> print(jnp.exp(terms).round(4))
    [0.5  1.   0.17]
    """

    def advance(ahead: Array, now: Any) -> tuple[Array, tuple[Array, Array]]:
        extra, table = now
        joint = ahead + extra
        term = safe_logsumexp(joint)
        after = joint - jnp.where(term == -jnp.inf, 0.0, term)
        table = found.steps if table is None else table
        return safe_logsumexp((after[:, None] + table).T), (term, after)

    tables = None
    if found.steps.ndim == 3:
        tables = jnp.concatenate([found.steps, jnp.zeros((1, *found.steps.shape[1:]))])
    _, (terms, after) = jax.lax.scan(advance, found.first, (evidence, tables), length=len(evidence))
    return terms, after


def drawn_states(key: Array, found: LabelSteps, evidence: Float[Array, "time states"]) -> Array:
    """A draw of the path given what was seen of it."""
    _, after = seen_terms(found, evidence)
    key_last, key_rest = jax.random.split(key)
    last = jax.random.categorical(key_last, after[-1])

    def back(state: Array, now: Any) -> tuple[Array, Array]:
        key, joint, table = now
        table = found.steps if table is None else table
        before = jax.random.categorical(key, joint + table[:, state])
        return before, before

    keys = jax.random.split(key_rest, len(evidence) - 1)
    tables = found.steps if found.steps.ndim == 3 else None
    _, rest = jax.lax.scan(back, last, (keys, after[:-1], tables), reverse=True)
    return found.states[jnp.concatenate([rest, last[None]])]


def best_states(found: LabelSteps, evidence: Float[Array, "time states"]) -> Array:
    """The most probable path given what was seen of it, by the algorithm of Viterbi.

    >>> coin = LabelSteps(jnp.arange(2), jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([[0.9, 0.1], [0.2, 0.8]])))
    >>> best_states(coin, jnp.array([[0.0, -1.0], [0.0, 0.0], [-jnp.inf, 0.0]])).tolist()
    [1, 1, 1]
    """
    steps = jnp.broadcast_to(found.steps, (len(evidence) - 1, *found.steps.shape[-2:]))

    def advance(score: Array, now: Any) -> tuple[Array, Array]:
        table, extra = now
        ways = score[:, None] + table
        return jnp.max(ways, 0) + extra, jnp.argmax(ways, 0)

    last, before = jax.lax.scan(advance, found.first + evidence[0], (steps, evidence[1:]))

    def back(state: Array, before: Array) -> tuple[Array, Array]:
        return before[state], before[state]

    end = jnp.argmax(last)
    _, rest = jax.lax.scan(back, end, before, reverse=True)
    return found.states[jnp.concatenate([rest, end[None]])]


def smoothed(found: LabelSteps, evidence: Float[Array, "time states"]) -> Float[Array, "time states"]:
    """The probability of each state of each step given all that was seen: the derivative of the log-sum."""
    return jax.grad(lambda extra: jnp.sum(seen_terms(found, extra)[0]))(evidence)


def evidence_of(found: LabelSteps, seen: Array) -> Float[Array, "time states"]:
    """Zero where a state is what was seen of a step (NaN is nothing), -inf elsewhere."""
    value = seen[:, None]
    same = jnp.isnan(value) | (value == found.states)
    return jnp.where(jnp.all(same, axis=tuple(range(2, same.ndim))), 0.0, -jnp.inf)


def _one_step(space: Space) -> Space:
    return with_shape(space, space.shape[1:])
