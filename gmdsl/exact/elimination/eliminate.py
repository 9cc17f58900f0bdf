r"""Variable elimination, $\log \sum_s \exp \sum_j T_j(s_{c_j})$, one variable after the other.

Summing out v replaces the tables that read it by one over its neighbours,
$\log \sum_v \exp(T_1 + T_2 + \ldots)$. Tables of one shape are kept as rows of one array, and variables
that are summed out in one round and look alike are done together.

Reference:
    Zhang and Poole, *A simple approach to Bayesian network computations*, 1994.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.numerics import rounded, safe_logsumexp
from gmdsl.exact.elimination.order import EliminationOrder, elimination_order
from gmdsl.exact.elimination.tables import Scope, Sketch, Tables, cards_of, sketched, tables
from gmdsl.exact.elimination.tabulation import MOST_ENTRIES, Cards
from gmdsl.spaces.space import Space


class Joint(NamedTuple):
    """Tables of some variables that are summed out together.

    Attributes:
        members: pairs (variable, its neighbours), one for each table.
        array: axes (table, first neighbour, ..., the variable).
    """

    members: list[tuple[int, Scope]]
    array: Array


def planned(
    function: Callable[[dict[str, Array]], Float[Array, ""]], spaces: Mapping[str, Space]
) -> tuple[Sketch, EliminationOrder] | str:
    """The tables of a function and a plan to sum them out; or why it is too much."""
    sketch = sketched(function, spaces)
    if isinstance(sketch, str):
        return sketch
    plan = elimination_order(sketch.scopes, cards_of(spaces))
    if plan.entries > MOST_ENTRIES:
        return f"width {plan.width}: a table of {rounded(plan.entries)} entries, more than {MOST_ENTRIES:.1e}"
    return sketch, plan


def log_sum_exp(
    function: Callable[[dict[str, Array]], Float[Array, ""]], spaces: Mapping[str, Space]
) -> Float[Array, ""] | str:
    r"""$\log \sum_s \exp f(s)$ over all states of some finite discrete variables; or why it is too much.

    Args:
        function: from a dict of values to one float; arrays that it closes over may be traced.
        spaces: the variables.

    >>> from gmdsl.spaces.discrete import Spin
    >>> chain = log_sum_exp(lambda v: jnp.sum(v["s"][:-1] * v["s"][1:] * 1.0), {"s": Spin(100)})
    >>> bool(jnp.allclose(chain, 100 * jnp.log(2.0) + 99 * jnp.log(jnp.cosh(1.0)), rtol=1e-5))
    True
    """
    found = planned(function, spaces)
    if isinstance(found, str):
        return found
    sketch, plan = found
    constant, parts = tables(sketch)
    return constant + eliminated(parts, plan, cards_of(spaces))


def eliminated(
    parts: list[Tables],
    plan: EliminationOrder,
    cards: Cards,
    reduce: Callable[[Array], Array] = safe_logsumexp,
    kept: list[Joint] | None = None,
) -> Float[Array, ""]:
    """The logarithm of the sum over all states of the exponential of a sum of tables.

    Args:
        parts: the tables.
        plan: in which order variables are summed out.
        cards: how many values each variable has.
        reduce: what is done along the last axis: the sum, or the largest entry.
        kept: a list that takes up the joint tables, in the order in which they are reduced.
    """
    live: dict[int, list[tuple[int, int]]] = {}  # where each variable is read: (array, row)
    arrays: list[Tables] = []
    constant = jnp.zeros(())
    for part in parts:
        constant = constant + _add_tables(part, arrays, live)
    for chosen in plan.rounds:
        alike: dict[Cards, list[tuple[int, Scope]]] = {}
        for v, around in chosen:
            alike.setdefault((*(cards[n] for n in around), cards[v]), []).append((v, around))
        for shape, members in alike.items():
            joint = _joint(shape, members, arrays, live)
            if kept is not None:
                kept.append(Joint(members, joint))
            rest = Tables([around for _, around in members], reduce(joint))
            constant = constant + _add_tables(rest, arrays, live)
    return constant


def _add_tables(part: Tables, arrays: list[Tables], live: dict[int, list[tuple[int, int]]]) -> Any:
    """Takes tables up; returns the sum of those over nothing."""
    number = len(arrays)
    arrays.append(part)
    for row, scope in enumerate(part.scopes):
        for v in scope:
            live.setdefault(v, []).append((number, row))
    empty = np.array([row for row, scope in enumerate(part.scopes) if not scope], int)
    return jnp.sum(part.array[empty]) if len(empty) else 0.0


def _joint(
    shape: Cards, members: list[tuple[int, Scope]], arrays: list[Tables], live: dict[int, list[tuple[int, int]]]
) -> Array:
    """The sum of all tables that read each of some variables, over their neighbours and themselves; takes them out."""
    alike: dict[tuple[int, Scope], list[tuple[int, int]]] = {}  # (array, axes of its tables) to (member, row)
    for member, (v, around) in enumerate(members):
        for number, row in list(live.pop(v, [])):
            scope = arrays[number].scopes[row]
            axes = tuple(len(around) if n == v else around.index(n) for n in scope)
            alike.setdefault((number, axes), []).append((member, row))
            for n in scope:
                if n != v:
                    live[n].remove((number, row))
    joint = jnp.zeros((len(members), *shape))
    for (number, axes), pairs in alike.items():
        joint = _plus(joint, np.array(pairs), arrays[number].array, axes, shape)
    return joint


def _plus(joint: Array, pairs: np.ndarray, array: Array, axes: Scope, shape: Cards) -> Array:
    """A joint table with rows of an array added to it."""
    members, rows = pairs.T
    taken = array if np.array_equal(rows, np.arange(len(array))) else array[rows]
    order = np.argsort(axes)
    moved = taken.transpose(0, *(1 + order)).reshape(-1, *(size if a in axes else 1 for a, size in enumerate(shape)))
    if np.array_equal(members, np.arange(len(joint))):
        return joint + moved
    return joint.at[members].add(jnp.broadcast_to(moved, (len(rows), *shape)))
