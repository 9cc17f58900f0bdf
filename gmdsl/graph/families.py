"""Families: factors that compute the same of different variables, evaluated as one map.

A program with a line for each of a thousand factors takes minutes to trace and to compile; one that maps over their
variables takes as long as the program of one. Models of a few names are evaluated factor by factor.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.numbers import numbers_in, with_numbers
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Call, Deterministic, Factor
from gmdsl.graph.factor_graph import FactorGraph, shapes_of
from gmdsl.graph.kinds import kind_of, placed
from gmdsl.graph.order import ordered
from gmdsl.graph.rows import NamedRows
from gmdsl.spaces.space import Space

LEAST = 16  # factors of one kind are mapped from this number on


@dataclass(frozen=True)
class FreeBlock:
    """Free variables of one space, which are decoded together.

    Attributes:
        names: of the variables.
        space: of each.
    """

    names: tuple[str, ...]
    space: Space


@dataclass(frozen=True)
class Family:
    """Factors of one kind.

    Attributes:
        members: their indices in the model.
        factor: one of them, over places.
        names: for each place, the variable of each member.
        owned: places whose variables are decoded by the members.
        numbers: that the functions of the members hold, one for all or an array with one for each.
        places: whether some of them are places in a list or an array that the functions hold.
    """

    members: tuple[int, ...]
    factor: Factor
    names: Mapping[str, tuple[str, ...]]
    owned: tuple[str, ...]
    numbers: tuple[Any, ...]
    places: bool = False

    @property
    def children(self) -> tuple[str, ...]:
        """The only child of each member."""
        return self.names[self.factor.children[0]]

    @property
    def own(self) -> dict[str, tuple[str, ...]]:
        """The places at which the members read different variables."""
        made = self.factor.children if isinstance(self.factor, Deterministic) else ()
        return {p: names for p, names in self.names.items() if p not in made and len(set(names)) > 1}

    def mapped(self, function: Callable[..., Any], have: NamedRows, stacks: Mapping[str, Any], free: Any = None) -> Any:
        """`function(factor, values)` of each member, as rows.

        Args:
            function: of the factor over places and its values; it is given unconstrained values, too, where there are.
            have: values by name.
            stacks: those that are rows of an array already, by place.
            free: unconstrained values by place, as rows.
        """
        mine = self.own
        own = {place: names for place, names in mine.items() if free is None or place not in free}
        rows = {place: stacks[place] if place in stacks else have.stacked(names) for place, names in own.items()}
        shared = {
            place: have[names[0]] for place, names in self.names.items() if place not in mine and names[0] in have
        }

        def one(row: Any, moving: Any, free: Any) -> Any:
            rest = iter(moving)
            held = [next(rest) if isinstance(number, np.ndarray) else number for number in self.numbers]
            factor = _with_numbers(self.factor, tuple(held), self.places) if moving else self.factor
            return function(factor, {**shared, **row}, *(() if free is None else (free,)))

        try:
            return jax.vmap(one)(rows, tuple(n for n in self.numbers if isinstance(n, np.ndarray)), free)
        except SpecError as error:  # of the first member, by its names
            text = re.sub(r"#\d+", lambda found: self.names.get(found[0], found)[0], str(error))
            raise SpecError(text) from error


type Step = int | Family


def members(step: Step) -> tuple[int, ...]:
    """The indices of the factors of a step."""
    return (step,) if isinstance(step, int) else step.members


@dataclass(frozen=True)
class Steps:
    """How a model is evaluated.

    Attributes:
        blocks: free variables that are decoded together, before all steps.
        steps: indices of factors and families of factors, what is read before what reads it.
    """

    blocks: tuple[FreeBlock, ...]
    steps: tuple[Step, ...]

    @property
    def early(self) -> frozenset[str]:
        """The free variables of the blocks."""
        return frozenset(name for block in self.blocks for name in block.names)


def steps_of(
    model: FactorGraph,
    order: tuple[int, ...],
    owns: tuple[tuple[str, ...], ...],
    rooted: tuple[str, ...],
    fixed: Container[int],
    least: int = LEAST,
) -> Steps:
    """The steps in which a model is evaluated.

    Args:
        model: the factors.
        order: their indices, parents before children.
        owns: for each, the free variables that it decodes.
        rooted: free variables that none decodes.
        fixed: indices of those that depend on no free variable.
        least: factors of one kind are mapped from this number on.
    """
    kinds = {index: _Kind.of(model.factors[index]) for index in order} if len(order) >= least else {}
    count = Counter(kind.key for kind in kinds.values() if kind.key is not None)
    many = {index: kind for index, kind in kinds.items() if count[kind.key] >= least}
    if not many:
        return Steps(tuple(FreeBlock((name,), model.spaces[name]) for name in rooted), order)
    spaces = model.spaces
    owned = (name for index in sorted(many) for name in owns[index] if _is_early(model.factors[index], spaces[name]))
    early = (*rooted, *owned)
    levels = _levels(model, order, owns, frozenset(early))
    groups: dict[Hashable, list[int]] = {}
    signature = _Signatures(model, frozenset(early))
    for index in order:
        group = (levels[index], index in fixed, signature(many[index], owns[index])) if index in many else index
        groups.setdefault(group, []).append(index)
    steps: list[Step] = []
    for indices in groups.values():
        family = _family(model, [many[i] for i in indices], indices, owns, early) if len(indices) >= least else None
        steps += indices if family is None else [family]
    first = {index: place for place, index in enumerate(order)}
    steps.sort(key=lambda step: (levels[members(step)[0]], first[members(step)[0]]))
    return Steps(_blocks(early, spaces), tuple(steps))


def steps_at(model: FactorGraph, least: int = LEAST) -> tuple[Step, ...]:
    """The steps in which a model is evaluated where all its random variables are known.

    Args:
        model: the factors.
        least: factors of one kind are mapped from this number on.
    """
    computed = ordered(factor for factor in model.factors if isinstance(factor, Deterministic))
    places = {id(factor): index for index, factor in enumerate(model.factors)}
    first = [places[id(factor)] for factor in computed]
    order = (*first, *sorted(set(range(len(model.factors))) - set(first)))
    return steps_of(model, order, ((),) * len(order), (), (), least).steps


class _Kind(NamedTuple):
    """A factor over places, and what it computes."""

    key: Hashable
    factor: Factor
    names: dict[str, str]

    @classmethod
    def of(cls, factor: Factor) -> "_Kind":
        over_places = placed(factor)
        return cls(kind_of(over_places.factor, numbers=False), *over_places)


def _is_early(factor: Factor, space: Space) -> bool:
    """Whether a child is decoded without its parents."""
    return isinstance(factor, Conditional) and factor.decoded_by_space and not space.dynamic


def _levels(model: FactorGraph, order: Any, owns: Any, early: Container[str]) -> dict[int, int]:
    """How many factors, at most, must be evaluated one after another before each can be."""
    depth: dict[str, int] = {}
    levels = {}
    for index in order:
        factor = model.factors[index]
        levels[index] = max((depth.get(name, 0) for name in (*factor.parents, *factor.children)), default=0)
        made = factor.children if isinstance(factor, Deterministic) else owns[index]
        depth.update({name: levels[index] + 1 for name in made if name not in early})
    return levels


class _Signatures:
    """What tells apart factors of one kind: shapes, spaces, and what is known at each place."""

    def __init__(self, model: FactorGraph, early: Container[str]):
        observed = {name: jax.ShapeDtypeStruct(np.shape(v), v.dtype) for name, v in model.observed.items()}
        self.shapes, self.spaces, self.early = {**shapes_of(model), **observed}, model.spaces, early

    def __call__(self, kind: _Kind, owned: tuple[str, ...]) -> Hashable:
        return kind.key, tuple((place, self.at(name, owned)) for place, name in kind.names.items())

    def at(self, name: str, owned: tuple[str, ...]) -> Hashable:
        shape = self.shapes[name]
        if not isinstance(shape, jax.ShapeDtypeStruct):
            return name  # a number
        return shape.shape, str(shape.dtype), name in self.early, self.spaces[name] if name in owned else None


def _family(
    model: FactorGraph, kinds: list[_Kind], members: list[int], owns: Any, early: Container[str]
) -> Family | None:
    """Some factors as a family; None where they have no variable of their own, or cannot be mapped over."""
    names = {place: tuple(kind.names[place] for kind in kinds) for place in kinds[0].names}
    owned = tuple(place for place, name in kinds[0].names.items() if name in owns[members[0]] and name not in early)
    family = Family(tuple(members), kinds[0].factor, names, owned, _numbers_of([kind.factor for kind in kinds]))
    shapes = shapes_of(model)
    asked = (family, replace(family, places=True)) if family.own else ()
    return next((tried for tried in asked if _can_be_mapped(tried, shapes)), None)


def _can_be_mapped(family: Family, shapes: Mapping[str, Any]) -> bool:
    """Whether its factor can be evaluated side by side; functions outside of JAX may not be."""
    known = {name: shapes[name] for names in family.names.values() for name in names}
    arrays = {name: shape for name, shape in known.items() if isinstance(shape, jax.ShapeDtypeStruct)}

    def evaluated(arrays: Any) -> Any:
        return family.mapped(value_of, NamedRows({**known, **arrays}), {})

    try:
        jax.eval_shape(evaluated, arrays)
    except Exception:  # the message is for the factor alone, where it stands in the way
        return False
    return True


def value_of(factor: Factor, values: Mapping[str, Any]) -> Any:
    """What a factor adds: its value where it is computed, else its term."""
    return factor.evaluate(values) if isinstance(factor, Deterministic) else factor.log_density(values)


def _numbers_of(factors: list[Factor]) -> tuple[Any, ...]:
    """The numbers that the functions of factors hold: one that all share, or an array with one for each factor."""
    rows = [[n for call in _holding(factor) for n in numbers_in(call.function)] for factor in factors]
    columns = zip(*rows, strict=True)
    return tuple(c[0] if all(_equal(n, c[0]) for n in c) else np.stack([np.asarray(n) for n in c]) for c in columns)


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(np.array_equal(one, other))


def _with_numbers(factor: Factor, numbers: tuple[Any, ...], places: bool) -> Factor:
    """The factor with these numbers in its functions."""
    rest = iter(numbers)

    def filled(node: Any) -> Any:
        if not (isinstance(node, Call) and numbers_in(node.function)):
            return node
        held = [next(rest) for _ in numbers_in(node.function)]
        return Call(_Filled(with_numbers(node.function, held, places)), node.bindings)

    return jax.tree.map(filled, factor, is_leaf=lambda node: isinstance(node, Call))


def _holding(factor: Factor) -> list[Call]:
    """The calls whose functions hold numbers."""
    calls = jax.tree.leaves(factor, is_leaf=lambda node: isinstance(node, Call))
    return [call for call in calls if isinstance(call, Call) and numbers_in(call.function)]


class _Filled(eqx.Module):
    """A function with numbers of the moment."""

    function: Any = eqx.field(static=True)

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.function(*args, **named)


def _blocks(names: tuple[str, ...], spaces: Mapping[str, Space]) -> tuple[FreeBlock, ...]:
    by_space: dict[Space, list[str]] = {}
    for name in names:
        by_space.setdefault(spaces[name], []).append(name)
    return tuple(FreeBlock(tuple(found), space) for space, found in by_space.items())
