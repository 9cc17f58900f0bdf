r"""A function of discrete variables as a sum of tables, each over a few of their elements.

$f(s) = c + \sum_j T_j(s_{c_j})$ holds exactly: the sets $c_j$ are proved (`gmdsl.exact.elimination.scopes`), the
entries come from evaluating parts of f itself (`gmdsl.exact.elimination.tabulation`), so they carry gradients.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.jaxprs.tape import Operation, Tape, TooLargeError, traced
from gmdsl.core.numerics import rounded
from gmdsl.exact.elimination.linear_part import leaves, weighed
from gmdsl.exact.elimination.repeated_parts import RepeatedPart, repeated_parts, runner
from gmdsl.exact.elimination.scopes import scopes, too_large
from gmdsl.exact.elimination.tabulation import MOST_ENTRIES, Cards, Entry, Group, bits, entries, grouped, requested
from gmdsl.spaces.space import Space, dtype_of

MOST_EVALUATIONS = 2**21  # of one array
MOST_NUMBERS = 2**24  # of one array in the program

type Scope = tuple[int, ...]


class Tables(NamedTuple):
    """Tables of one shape, one after the other.

    Attributes:
        scopes: the elements of each table, in ascending order.
        array: axes (table, first element, second element, ...).
    """

    scopes: list[Scope]
    array: Array


class Sketch(NamedTuple):
    """Which tables a function is the sum of; nothing is evaluated yet.

    Attributes:
        program: the function.
        spaces: its variables.
        linear: the last steps, which are linear.
        slots: the arrays that they start from.
        requests: the tables of each of these.
    """

    program: Tape
    spaces: Mapping[str, Space]
    linear: list[Operation]
    slots: list[int]
    requests: list[list[Entry]]

    @property
    def scopes(self) -> list[Scope]:
        """The elements that each table reads."""
        return [tuple(bits(request.part)) for plan in self.requests for request in plan]


def cards_of(spaces: Mapping[str, Space]) -> Cards:
    """How many values each element has: the variables one after the other, row by row."""
    return tuple(space.cardinality or 1 for space in spaces.values() for _ in range(math.prod(space.shape)))


def sketched(function: Callable[[dict[str, Array]], Float[Array, ""]], spaces: Mapping[str, Space]) -> Sketch | str:
    """The tables of a function of finite discrete variables; or why there are none.

    >>> from gmdsl.spaces.discrete import Spin
    >>> sketched(lambda v: 2.0 + jnp.sum(v["s"][:-1] * v["s"][1:] * 1.0), {"s": Spin(4)}).scopes
    [(0, 1), (1, 2), (2, 3)]
    """
    point = {name: jax.ShapeDtypeStruct(space.shape, dtype_of(space)) for name, space in spaces.items()}
    try:
        program, cards = traced(function, point, most=MOST_NUMBERS), cards_of(spaces)
    except TooLargeError as error:
        return str(error)
    if (why := too_large(program)) is not None:
        return why
    terms = scopes(program)
    linear, slots = leaves(program, terms)
    plans = [requested(terms[slot]) for slot in slots]
    widest = max((r.part for plan in plans for r in plan), key=lambda part: entries(part, cards), default=0)
    if entries(widest, cards) > MOST_ENTRIES:
        return f"a term joins {widest.bit_count()} elements, {rounded(entries(widest, cards))} states"
    for plan in plans:
        count = sum(entries(request.part, cards) for request in plan)
        if count > MOST_EVALUATIONS:
            return f"its tables have {rounded(count)} entries, more than {MOST_EVALUATIONS:.1e}"
    return Sketch(program, spaces, linear, slots, plans)


def tables(sketch: Sketch) -> tuple[Float[Array, ""], list[Tables]]:
    """The constant and the tables whose sum is the function.

    >>> from gmdsl.spaces.discrete import Spin
    >>> sketch = sketched(lambda v: 2.0 + jnp.sum(v["s"][:-1] * v["s"][1:] * 1.0), {"s": Spin(3)})
    >>> constant, found = tables(sketch)
    >>> float(constant), [part.scopes for part in found], found[0].array[0].tolist()
    (2.0, [[(0, 1)], [(1, 2)]], [[1.0, -1.0], [-1.0, 1.0]])
    """
    constant, weights = weighed(sketch.program, sketch.linear, sketch.slots)
    found = []
    for family in repeated_parts(sketch.program, sketch.slots, sketch.spaces):
        weight = jnp.stack([weights[number].reshape(-1) for number in family.members])
        more, parts = _of_family(sketch, family, weight)
        constant, found = constant + more, found + parts
    return constant, found


def weighted(weight: Array, values: Array) -> Array:
    """The product, where what has no weight is nothing even if it is infinite, and infinities have no gradient."""
    finite = jnp.isfinite(values)
    rest = jnp.where(weight == 0, 0.0, jax.lax.stop_gradient(weight) * values)
    return jnp.where(finite, weight * jnp.where(finite, values, 0.0), rest)


class _Row(NamedTuple):
    """A group of requests of one member of a family."""

    member: int
    group: Group


def _of_family(
    sketch: Sketch, family: RepeatedPart, weight: Float[Array, "member element"]
) -> tuple[Array, list[Tables]]:
    """What the parts of a family add to the constant, and their tables."""
    cards = cards_of(sketch.spaces)
    run = runner(sketch.program, family, sketch.spaces, weight.dtype)
    places = [_places(sketch.spaces, part.inputs) for part in family.parts]
    members = jnp.arange(len(places))
    reference = run(jnp.zeros((1, 1), int), jnp.zeros((len(places), len(places[0])), int), members)[:, 0]
    rows: dict[Cards, list[_Row]] = {}
    rest = np.ones(weight.shape, bool)  # elements that no whole table holds
    for member, number in enumerate(family.members):
        plan = sketch.requests[number]
        rest[member, [request.element for request in plan if request.whole]] = False
        for key, groups in grouped(plan, cards).items():
            rows.setdefault(key, []).extend(_Row(member, group) for group in groups)
    where = np.nonzero(rest)
    constant = jnp.sum(weighted(weight[where], reference[where]))
    found = []
    for key, own in rows.items():
        states = np.zeros((math.prod(key), len(key) + 1), int)  # the last column is the reference
        states[:, :-1] = np.indices(key).reshape(len(key), -1).T
        colours = np.full((len(own), len(places[0])), len(key))
        for colour, row in zip(colours, own, strict=True):
            colour[:] = [row.group.colours.get(i, len(key)) for i in places[row.member]]
        values = run(jnp.asarray(states), jnp.asarray(colours), jnp.asarray([row.member for row in own]))
        found += _read(key, own, values, weight, reference)
    return constant, found


def _read(key: Cards, rows: list[_Row], found: Array, weight: Array, reference: Array) -> list[Tables]:
    """The tables out of evaluations (row, state, element), those with colours in the same order together."""
    alike: dict[Any, list[tuple[int, int, Entry]]] = {}
    for number, (member, group) in enumerate(rows):
        for request in group.requests:
            order = tuple(group.colours[i] for i in bits(request.part))
            alike.setdefault((order, request.whole), []).append((number, member, request))
    tables = []
    for (order, whole), own in alike.items():
        numbers, members = np.array([n for n, _, _ in own]), np.array([m for _, m, _ in own])
        elements = np.array([request.element for _, _, request in own])
        values = found[numbers, :, elements]
        values = values if whole else values - reference[members, elements][:, None]
        count = np.array([request.coefficient for _, _, request in own])
        values = weighted((weight[members, elements] * count)[:, None], values)
        array = values.reshape(-1, *key).transpose(0, *(1 + colour for colour in order))
        tables.append(Tables([tuple(bits(request.part)) for _, _, request in own], array))
    return tables


def _places(spaces: Mapping[str, Space], names: tuple[str, ...]) -> list[int]:
    """The numbers of the elements of some variables."""
    sizes = [math.prod(space.shape) for space in spaces.values()]
    starts = dict(zip(spaces, np.cumsum([0, *sizes]), strict=False))
    return [int(starts[name]) + i for name in names for i in range(math.prod(spaces[name].shape))]
