r"""A function of discrete variables as a sum of tables, each over a few of their elements.

$f(s) = c + \sum_j T_j(s_{c_j})$ holds exactly: the sets $c_j$ are proved (`gmdsl.core.scopes`), the
entries come from evaluating parts of f itself (`gmdsl.core.requests`), so they carry gradients.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.leaves import Leaf, leaves
from gmdsl.core.requests import MOST_ENTRIES, Group, Request, bits, entries, grouped, requested
from gmdsl.core.scopes import Terms, scopes, too_large
from gmdsl.core.space import Space, Spin, dtype_of
from gmdsl.core.steps import Steps, traced

MOST_EVALUATIONS = 2**21  # of one array
AT_ONCE = 2**23  # numbers in memory at a time

type Scope = tuple[int, ...]
type Cards = tuple[int, ...]


class Tables(NamedTuple):
    """Tables of one shape, one after the other.

    Attributes:
        scopes: the elements of each table, in ascending order.
        array: axes (table, first element, second element, ...).
    """

    scopes: list[Scope]
    array: Array


def cards_of(spaces: Mapping[str, Space]) -> Cards:
    """How many values each element has: the variables one after the other, row by row."""
    return tuple(space.cardinality or 1 for space in spaces.values() for _ in range(math.prod(space.shape)))


def tables(
    function: Callable[[dict[str, Array]], Float[Array, ""]], spaces: Mapping[str, Space]
) -> tuple[Float[Array, ""], list[Tables]] | str:
    """The constant and the tables whose sum is a function of finite discrete variables; or why there are none.

    >>> from gmdsl.core.space import Spin
    >>> constant, found = tables(lambda v: 2.0 + jnp.sum(v["s"][:-1] * v["s"][1:] * 1.0), {"s": Spin(4)})
    >>> float(constant), [part.scopes for part in found], found[0].array[0].tolist()
    (2.0, [[(0, 1), (2, 3)], [(1, 2)]], [[1.0, -1.0], [-1.0, 1.0]])
    """
    point = {name: jax.ShapeDtypeStruct(space.shape, dtype_of(space)) for name, space in spaces.items()}
    program = traced(function, point)
    if (why := too_large(program)) is not None:
        return why
    terms, cards = scopes(program), cards_of(spaces)
    constant, parts = leaves(program, terms)
    plans = [requested(terms[leaf.slot]) for leaf in parts]
    for plan in plans:
        widest = max((request.part for request in plan), key=lambda part: entries(part, cards), default=0)
        if entries(widest, cards) > MOST_ENTRIES:
            return f"a term joins {widest.bit_count()} variables, {entries(widest, cards):.0e} states"
    found = []
    for leaf, plan in zip(parts, plans, strict=True):
        groups = grouped(plan, cards)
        count = sum(math.prod(key) * len(members) for key, members in groups.items())
        if count > MOST_EVALUATIONS:
            return f"its tables take {count} evaluations, more than {MOST_EVALUATIONS}"
        reference, run = _reference_and_run(program, leaf, spaces)
        constant = constant + _at_reference(leaf, terms[leaf.slot], plan, reference)
        for key, members in groups.items():
            found += _of_groups(leaf, key, members, reference, run, len(cards))
    return constant, found


def _reference_and_run(
    program: Steps, leaf: Leaf, spaces: Mapping[str, Space]
) -> tuple[Array, Callable[[Array, Array], Array]]:
    """The leaf where every element has its first value, and a function that evaluates it at many states."""
    steps, weight = program.needed(leaf.slot), leaf.weight
    size = sum(math.prod(program.avals[slot].shape) for step in steps for slot in step.writes) + 1

    def one(numbers: Array) -> Array:
        values, start = {}, 0
        for name, slot in program.inputs.items():
            space, stop = spaces[name], start + math.prod(spaces[name].shape)
            own = numbers[start:stop].reshape(space.shape)
            values[slot] = (2 * own - 1 if isinstance(space, Spin) else own).astype(program.avals[slot].dtype)
            start = stop
        return program.run(steps, values, leaf.slot).astype(weight.dtype).reshape(-1)

    def run(states: Array, colours: Array) -> Array:
        count, pairs = len(states), len(states) * len(colours)

        def at(index: Array) -> Array:
            return one(states[index % count][colours[index // count]])

        if pairs * size <= AT_ONCE:
            return jax.vmap(at)(jnp.arange(pairs))
        return jax.lax.map(at, jnp.arange(pairs), batch_size=max(AT_ONCE // size, 1))

    return one(jnp.zeros(len(cards_of(spaces)), int)), run


def _at_reference(leaf: Leaf, terms: Terms, plan: list[Request], reference: Array) -> Array:
    """What the elements add that no whole table holds."""
    whole = {request.element for request in plan if request.whole}
    rest = np.array([i for i in range(terms.size) if i not in whole], int)
    return jnp.sum(weighted(leaf.weight.reshape(-1)[rest], reference[rest]))


def _of_groups(
    leaf: Leaf,
    key: Cards,
    groups: list[Group],
    reference: Array,
    run: Callable[[Array, Array], Array],
    size: int,
) -> list[Tables]:
    """The tables of groups with the same numbers of states."""
    states = np.zeros((math.prod(key), len(key) + 1), int)  # the last column is the reference
    states[:, :-1] = np.indices(key).reshape(len(key), -1).T
    colours = np.full((len(groups), size), len(key))
    for row, group in zip(colours, groups, strict=True):
        row[list(group.colours)] = list(group.colours.values())
    found = run(jnp.asarray(states), jnp.asarray(colours)).reshape(len(groups), len(states), -1)
    alike: dict[Any, list[tuple[int, Request]]] = {}
    for number, group in enumerate(groups):
        for request in group.requests:
            order = tuple(group.colours[i] for i in bits(request.part))
            alike.setdefault((order, request.whole), []).append((number, request))
    return [_read(leaf, key, order, whole, rows, found, reference) for (order, whole), rows in alike.items()]


def _read(
    leaf: Leaf,
    key: Cards,
    order: Scope,
    whole: bool,
    rows: list[tuple[int, Request]],
    found: Array,
    reference: Array,
) -> Tables:
    """The tables of requests whose elements have colours in the same order."""
    numbers = np.array([number for number, _ in rows])
    elements = np.array([request.element for _, request in rows])
    weight = leaf.weight.reshape(-1)[elements][:, None] * np.array([[request.coefficient] for _, request in rows])
    values = found[numbers, :, elements]
    values = weighted(weight, values if whole else values - reference[elements][:, None])
    array = values.reshape(-1, *key).transpose(0, *(1 + colour for colour in order))
    return Tables([tuple(bits(request.part)) for _, request in rows], array)


def weighted(weight: Array, values: Array) -> Array:
    """The product, where what has no weight is nothing even if it is infinite, and infinities have no gradient."""
    finite = jnp.isfinite(values)
    rest = jnp.where(weight == 0, 0.0, jax.lax.stop_gradient(weight) * values)
    return jnp.where(finite, weight * jnp.where(finite, values, 0.0), rest)
