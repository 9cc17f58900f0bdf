r"""Which evaluations make the tables of a sum $f(s) = \sum_c f_c(s_c)$.

A value with one term c is tabulated over the states of c. A value with several terms is evaluated with
everything outside a set T at a reference state, $F_T(s_T)$; inclusion and exclusion put them together,
$f = F_\emptyset + \sum_T a_T\, (F_T - F_\emptyset)$ over all T in a term, with $a_T = 1 - \sum_{S \supset T} a_S$.

Values whose sets do not get in each other's way are evaluated at once: the elements of each set get
different colours, and elements of one colour change together (as in the estimation of sparse Jacobians).

Reference:
    Curtis, Powell and Reid, *On the estimation of sparse Jacobian matrices*, 1974.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gmdsl.exact.elimination.terms import Terms, maximal

MOST_ENTRIES = 2**20  # of one table
MOST_PARTS = 2**16  # sets T of one element; more, and its terms are joined
LOOK_BACK = 64  # groups that a request is tried in

type Cards = tuple[int, ...]


class Entry(NamedTuple):
    """A table that is wanted.

    Attributes:
        element: of which element of the array.
        part: the hidden elements over whose states it goes, as bits.
        around: everything that the element depends on, as bits; what is not in `part` stays at the reference.
        coefficient: how often it counts.
        whole: whether it is the element itself, and not what it adds to its value at the reference.
    """

    element: int
    part: int
    around: int
    coefficient: int
    whole: bool


@dataclass
class Group:
    """Requests that are evaluated together: colours of hidden elements, and those that stay at the reference."""

    colours: dict[int, int] = field(default_factory=dict)
    moving: int = 0
    held: int = 0
    requests: list[Entry] = field(default_factory=list)


def requested(terms: Terms) -> list[Entry]:
    """The tables that add up to each element of an array (less its value at the reference where they are not whole)."""
    found = []
    for element, own in enumerate(terms.flat):
        parts = maximal(own)
        if len(parts) > 1 and sum(2 ** part.bit_count() for part in parts) > MOST_PARTS:
            parts = [_union(parts)]
        if len(parts) == 1:
            found.append(Entry(element, parts[0], parts[0], 1, True))
        elif parts:
            around = _union(parts)
            found += [Entry(element, part, around, count, False) for part, count in coefficients(parts).items()]
    return found


def coefficients(parts: list[int]) -> dict[int, int]:
    """How often each set counts when a sum over sets is put together from evaluations; zeros are left out.

    >>> coefficients([0b011, 0b110])
    {3: 1, 6: 1, 2: -1}
    """
    above, found = dict.fromkeys(parts, 0), {}
    for size in range(max(part.bit_count() for part in parts), 0, -1):
        for part in sorted(p for p in above if p.bit_count() == size):
            count = 1 - above[part]
            if count:
                found[part] = count
            inside = (part - 1) & part
            while inside:
                above[inside] = above.get(inside, 0) + count
                inside = (inside - 1) & part
    return found


def grouped(requests: list[Entry], cards: Cards) -> dict[tuple[int, ...], list[Group]]:
    """The requests in groups, by the numbers of states of the colours."""
    found: dict[tuple[int, ...], list[Group]] = {}
    for request in requests:
        elements = bits(request.part)
        key = tuple(sorted(cards[i] for i in elements))
        groups = found.setdefault(key, [])
        if not any(_join_group(group, request, elements, key, cards) for group in groups[-LOOK_BACK:]):
            groups.append(Group())
            _join_group(groups[-1], request, elements, key, cards)
    return found


def _join_group(group: Group, request: Entry, elements: list[int], key: tuple[int, ...], cards: Cards) -> bool:
    """Adds a request to a group where it fits."""
    still = request.around & ~request.part
    if still & group.moving or request.part & group.held:
        return False
    mine = {i: group.colours[i] for i in elements if i in group.colours}
    free = [colour for colour in range(len(key)) if colour not in mine.values()]
    if len(set(mine.values())) < len(mine):
        return False
    for i in elements:
        if i not in mine:
            fitting = [colour for colour in free if key[colour] == cards[i]]
            if not fitting:
                return False
            mine[i] = fitting[0]
            free.remove(fitting[0])
    group.colours.update(mine)
    group.moving |= request.part
    group.held |= still
    group.requests.append(request)
    return True


def bits(term: int) -> list[int]:
    """The hidden elements in a set, in order.

    >>> bits(0b1101)
    [0, 2, 3]
    """
    found = []
    while term:
        low = term & -term
        found.append(low.bit_length() - 1)
        term ^= low
    return found


def entries(part: int, cards: Cards) -> int:
    """How many states a set of hidden elements has."""
    return math.prod(cards[i] for i in bits(part))


def _union(parts: list[int]) -> int:
    return int(np.bitwise_or.reduce(np.array(parts, object)))
