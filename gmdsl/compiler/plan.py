"""The check pass: from a model to the order in which its values become known.

Names, inputs and cycles are checked here once more because operators can combine models in ways
that no declaration saw; shapes and dtypes were probed when the nodes were declared. The result says
where each free variable gets its support: from the one distribution that defines it (bounds may
depend on parents), or from its declared space.
"""

import math
from dataclasses import dataclass

from gmdsl.core.errors import SpecError
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Factor, Names
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.families import Family, Steps, steps_of
from gmdsl.graph.order import cycle, ordered
from gmdsl.spaces.space import Space


@dataclass(frozen=True)
class Slot:
    """The place of one free variable in the flat vector."""

    name: str
    space: Space
    start: int
    stop: int


@dataclass(frozen=True)
class Plan:
    """How a model is evaluated.

    Attributes:
        slots: the free variables and their places in the flat vector.
        rooted: free variables whose support comes from their declared space.
        order: indices of the factors, parents before children.
        owns: for each factor index, the free variables it decodes.
        fixed: indices of factors that depend on no free variable: evaluated once per data.
        evaluation: the same order, with like factors together.
    """

    slots: tuple[Slot, ...]
    rooted: tuple[str, ...]
    order: tuple[int, ...]
    owns: tuple[tuple[str, ...], ...]
    fixed: frozenset[int]
    evaluation: Steps

    @property
    def dim(self) -> int:
        return self.slots[-1].stop if self.slots else 0


def plan(model: FactorGraph) -> Plan:
    """Checks a model and plans its evaluation.

    Raises:
        SpecError: unbound inputs, nothing to compute, or a cycle through supports that move.
    """
    if model.inputs:
        names = ", ".join(name for name, _ in model.inputs)
        raise SpecError(
            f"compile(...): the inputs {names} have no value."
            f" Bind them, .condition({model.inputs[0][0]}=...), or multiply by a model that defines them."
        )
    owner = _owners(model)
    factors = list(model.factors)
    directed = _directed(factors, owner)
    while loop := cycle(directed):
        moving = [name for name in loop if name in owner and model.spaces[name].dynamic]
        if moving:
            raise SpecError(
                f"compile(...): {' -> '.join(loop)} is a cycle, and the support of {moving[0]} moves along it."
                " Give that variable a fixed support."
            )
        owner = {name: index for name, index in owner.items() if name not in loop}
        directed = _directed(factors, owner)
    places = {id(factor): index for index, factor in reversed(list(enumerate(factors)))}
    order = [places[id(factor)] for factor in ordered(directed)]
    order += sorted(set(range(len(factors))) - set(order))
    owns = tuple(tuple(n for n in f.children if owner.get(n) == i) for i, f in enumerate(factors))
    rooted = tuple(name for name in model.free if name not in owner)
    for name in rooted:
        if model.spaces[name].dynamic:
            raise SpecError(
                f"compile(...): {name} has the support {model.spaces[name].title}, whose bounds move, and more than"
                " one factor defines it. Give it a fixed support."
            )
    fixed = _find_fixed(model, factors, order)
    return Plan(_slots(model), rooted, tuple(order), owns, fixed, steps_of(model, tuple(order), owns, rooted, fixed))


def known_rows(plan: Plan, model: FactorGraph, fixed: tuple[str, ...]) -> tuple[tuple[int, dict[str, Names]], ...]:
    """Where the members of a family read something that is known: its first member, and by place their variables.

    Args:
        plan: of the model.
        model: the factors.
        fixed: computed variables that are known.
    """
    known = {*model.data, *model.params, *model.observed, *fixed}
    families = [
        step for step in plan.evaluation.steps if isinstance(step, Family) and step.members[0] not in plan.fixed
    ]
    rows = ((f.members[0], {p: names for p, names in f.own.items() if known.issuperset(names)}) for f in families)
    return tuple((first, places) for first, places in rows if places)


def _owners(model: FactorGraph) -> dict[str, int]:
    """For each free variable, the index of the only conditional that defines it."""
    makers: dict[str, list[int]] = {}
    for index, factor in enumerate(model.factors):
        if isinstance(factor, Conditional):
            for child in factor.children:
                makers.setdefault(child, []).append(index)
    free = set(model.free) - set(model.narrowed)
    return {name: found[0] for name, found in makers.items() if len(found) == 1 and name in free}


def _directed(factors: list[Factor], owner: dict[str, int]) -> list[Factor]:
    """The factors that make something known: computed variables, and those that give a free variable its support."""
    owners = set(owner.values())
    return [f for i, f in enumerate(factors) if isinstance(f, Deterministic) or i in owners]


def _slots(model: FactorGraph) -> tuple[Slot, ...]:
    slots, start = [], 0
    for name in model.free:
        space = model.spaces[name]
        stop = start + math.prod(space.free_shape)
        slots.append(Slot(name, space, start, stop))
        start = stop
    return tuple(slots)


def _find_fixed(model: FactorGraph, factors: list[Factor], order: list[int]) -> frozenset[int]:
    """Factors that read and define nothing that moves."""
    moving, fixed = set(model.free), set()
    for index in order:
        factor = factors[index]
        touched = {*factor.parents, *(factor.children if not isinstance(factor, Deterministic) else ())}
        if touched & moving:
            moving |= set(factor.children) - set(model.observed)
        else:
            fixed.add(index)
    return frozenset(fixed)
