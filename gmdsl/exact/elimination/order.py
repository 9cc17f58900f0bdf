r"""In which order variables are summed out of a sum of tables.

Summing out v joins its neighbours in one table. Variables are taken in rounds, whole sets of them that
are no neighbours of each other: first those with at most two neighbours (a chain of n is gone after
$\log_2 n$ rounds), then those whose neighbours are joined already; else one, that which joins the fewest
new pairs (min-fill).

Reference:
    Koller and Friedman, *Probabilistic Graphical Models*, 2009, section 9.4.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

FEW_ENTRIES = 2**12  # of a table of three variables that is taken early


class EliminationOrder(NamedTuple):
    """Rounds of pairs (variable, its neighbours in order), and what they cost.

    Attributes:
        rounds: what is summed out, round by round.
        width: the most neighbours.
        entries: the entries of the largest table.
    """

    rounds: list[list[tuple[int, tuple[int, ...]]]]
    width: int
    entries: int


def elimination_order(scopes: Iterable[tuple[int, ...]], cards: Sequence[int]) -> EliminationOrder:
    """A plan to sum out all variables, numbered from 0.

    Args:
        scopes: the variables of each table.
        cards: how many values each variable has.

    >>> plan = elimination_order([(0, 1), (1, 2), (2, 3)], [2, 2, 2, 2])
    >>> plan.rounds, plan.width
    ([[(0, (1,)), (3, (2,))], [(1, (2,))], [(2, ())]], 1)
    """
    near: dict[int, set[int]] = {v: set() for v in range(len(cards))}
    for scope in scopes:
        for v in scope:
            near[v] |= set(scope) - {v}
    fill: dict[int, int] = {}  # what is known of it
    rounds, width, most = [], 0, 1
    while near:
        chosen = _round(near, fill, cards)
        rounds.append([(v, tuple(sorted(near[v]))) for v in chosen])
        changed: set[int] = set()
        for v in chosen:
            width = max(width, len(near[v]))
            most = max(most, cards[v] * math.prod(cards[n] for n in near[v]))
            changed |= _remove(near, v)
        for v in (*chosen, *changed):
            fill.pop(v, None)
    return EliminationOrder(rounds, width, most)


def _round(near: dict[int, set[int]], fill: dict[int, int], cards: Sequence[int]) -> list[int]:
    """The variables that are summed out next."""

    def is_small(v: int) -> bool:
        few = len(near[v]) <= 2
        return few and cards[v] * math.prod(cards[n] for n in near[v]) <= FEW_ENTRIES

    def is_joined(v: int) -> bool:
        if v not in fill:
            fill[v] = _fill(near, v)
        return fill[v] == 0

    for suits in (is_small, is_joined):
        found = _apart(near, sorted((v for v in near if suits(v)), key=lambda v: (len(near[v]), v)))
        if found:
            return found
    return [min(near, key=lambda v: (fill[v], len(near[v]), v))]


def _apart(near: dict[int, set[int]], candidates: list[int]) -> list[int]:
    """Those of the candidates that are no neighbours, the first ones first."""
    found, blocked = [], set()
    for v in candidates:
        if v not in blocked:
            found.append(v)
            blocked |= near[v]
    return found


def _remove(near: dict[int, set[int]], v: int) -> set[int]:
    """Takes a variable out and joins its neighbours; returns those whose surroundings changed."""
    around = near.pop(v)
    changed = set(around)
    for a in around:
        near[a].discard(v)
    for a, b in itertools.combinations(sorted(around), 2):
        if b not in near[a]:
            changed |= near[a] & near[b]
            near[a].add(b)
            near[b].add(a)
    return changed


def _fill(near: dict[int, set[int]], v: int) -> int:
    """How many pairs of neighbours are no neighbours yet."""
    return sum(b not in near[a] for a, b in itertools.combinations(near[v], 2))
