"""Indices that are known when a function is traced, and what they point into.

JAX raises no error for an index out of range: a lookup takes the nearest element, its derivative is dropped, and a sum
by index leaves the element out. Where indices are computed of known integers alone, they can be looked at beforehand.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr

from gmdsl.core.jaxprs.tape import Operation, Tape, traced

CLIP = "CLIP"  # the mode of a lookup whose author may have asked for the nearest element


class Lookup(NamedTuple):
    """Known indices into one axis of an array.

    Attributes:
        low: the smallest index; of named integers before negative ones are counted from the end.
        high: the largest index.
        size: how many elements the axis has (for a slice, how many places it can begin at).
        names: the known integers that they are computed of; none for indices that the function itself holds.
    """

    low: int
    high: int
    size: int
    names: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return self.low >= 0 and self.high < self.size


def lookups(
    function: Callable[[dict[str, Any]], Any], point: Mapping[str, Any], known: Mapping[str, Any]
) -> list[Lookup]:
    """The lookups of a function by indices that depend on known integers alone, or on nothing.

    Args:
        function: from a dict of arrays to one array.
        point: arrays or shapes of what is not known.
        known: arrays of integers by name.

    >>> import jax.numpy as jnp
    >>> lookups(lambda v: v["a"][v["g"]].sum(), {"a": jnp.zeros(4)}, {"g": np.array([1, 4])})
    [Lookup(low=1, high=4, size=4, names=('g',))]
    """
    return lookups_of(traced(function, {**point, **known}, keep=True), known)


def lookups_of(tape: Tape, known: Mapping[str, Any], *, stacked: bool = False) -> list[Lookup]:
    """The same of a function that is traced already, without computing anything.

    Args:
        tape: the program; all of its operations are steps.
        known: arrays of integers by name, some of the inputs.
        stacked: whether they have an axis of steps that the program does not see.
    """
    known = {name: jnp.asarray(value, tape.avals[tape.inputs[name]].dtype) for name, value in known.items()}
    origins: dict[int, frozenset[str] | None] = {
        slot: frozenset([name]) if name in known else None for name, slot in tape.inputs.items()
    }
    for step in tape.steps:
        above = [origins.get(slot, frozenset()) for slot in step.reads]
        from_known = None if None in above else frozenset[str]().union(*(found for found in above if found))
        origins.update(dict.fromkeys(step.writes, from_known))
    given = {tape.inputs[name]: value for name, value in known.items()}
    found, makers = [], {slot: step for step in tape.steps for slot in step.writes}
    for step in tape.steps:
        for slot, limits in (*index_slots(step, tape), *_choices(step, makers)):
            names = origins.get(slot, frozenset())
            if names or (names is not None and not stacked):
                found += _ranges(_Index(tape, given, slot, stacked), limits, lookup_mode(step), tuple(sorted(names)))
        if step.name == "scan" and not stacked:
            found += _inside(step, tape, given, origins)
    return found if stacked else [*found, *_one_hot(tape, given, origins)]


class _Index(NamedTuple):
    """The value in a slot that depends on known integers alone."""

    tape: Tape
    given: Mapping[int, Any]
    slot: int
    stacked: bool

    def value(self, instead: Any = None) -> np.ndarray:
        run = lambda given: self.tape.run(self.tape.needed(self.slot), given, self.slot, instead)  # noqa: E731
        with jax.ensure_compile_time_eval():
            return np.asarray(jax.vmap(run)(self.given) if self.stacked else run(self.given))


def _inside(step: Operation, tape: Tape, given: Mapping[int, Any], origins: Mapping[int, Any]) -> list[Lookup]:
    """The lookups in the body of a loop, by known integers that it goes along."""
    body = step.equation.params["jaxpr"]
    jaxpr, constants = getattr(body, "jaxpr", body), getattr(body, "consts", ())
    names = [f"input {i}" for i in range(len(step.reads))]
    inner = dict(zip(names, (variable.aval for variable in jaxpr.invars), strict=True))
    known = {}
    for name, slot in zip(names, step.reads, strict=True):  # what a loop goes along has one axis more outside
        if (
            origins.get(slot)
            and inner[name].dtype.kind in "iu"
            and len(tape.avals[slot].shape) > len(inner[name].shape)
        ):
            known[name] = _Index(tape, given, slot, stacked=False).value()
    if not known:
        return []
    run = lambda values: eval_jaxpr(jaxpr, constants, *(values[name] for name in names))[0]  # noqa: E731
    found = lookups_of(traced(run, inner, keep=True), known, stacked=True)
    made_of = dict(zip(names, (origins.get(slot) or () for slot in step.reads), strict=True))
    return [look._replace(names=tuple(sorted({o for name in look.names for o in made_of[name]}))) for look in found]


def index_slots(step: Operation, tape: Tape) -> list[tuple[int, list[int]]]:
    """The operands of a step that are indices, with the number of places that each column of them may point at."""
    shape = tape.avals[step.reads[0]].shape if step.reads else ()
    params = step.equation.params
    if step.name == "gather":
        axes = params["dimension_numbers"].start_index_map
        if _is_chosen(params.get("fill_value")):  # the author says what stands for elements that are not there
            return []
        return [(step.reads[1], [shape[axis] - params["slice_sizes"][axis] + 1 for axis in axes])]
    if step.name.startswith("scatter"):
        numbers = params["dimension_numbers"]
        whole = set(numbers.inserted_window_dims)
        axes = numbers.scatter_dims_to_operand_dims
        return [(step.reads[1], [shape[axis] for axis in axes])] if whole >= set(axes) else []
    if step.name == "dynamic_slice":
        sizes = [size - part + 1 for size, part in zip(shape, params["slice_sizes"], strict=True)]
        return [(slot, [size]) for slot, size in zip(step.reads[1:], sizes, strict=True)]
    return []


def _choices(step: Operation, makers: Mapping[int, Operation]) -> list[tuple[int, list[int]]]:
    """The number by which `jax.lax.switch` chooses, with the number of branches; it takes the nearest one."""
    if step.name not in ("cond", "select_n") or not step.reads:
        return []
    maker = makers.get(step.reads[0])
    if maker is None or maker.name != "clamp":
        return []
    return [(maker.reads[1], [len(step.equation.params["branches"]) if step.name == "cond" else len(step.reads) - 1])]


def _one_hot(tape: Tape, given: Mapping[int, Any], origins: Mapping[int, Any]) -> list[Lookup]:
    """Numbers of which `jax.nn.one_hot` makes rows: zeros from n on, and for negative ones, which may mean "none"."""
    found = []
    for name, reads, writes in tape.calls:
        names = origins.get(reads[0]) if name == "_one_hot" else None
        value = _Index(tape, given, reads[0], stacked=False).value() if names else np.zeros(0)
        if value.size:
            size = int(np.prod(tape.avals[writes[0]].shape)) // value.size
            found.append(Lookup(max(int(value.min()), 0), int(value.max()), size, tuple(sorted(names or ()))))
    return found


def _is_chosen(fill: Any) -> bool:
    """Whether a value for elements out of range is not one of JAX's own (NaN, the smallest integer)."""
    if fill is None or np.isnan(fill):
        return False
    return not (isinstance(fill, int | np.integer) and int(fill) in (-(2**31), -(2**63), 2**32 - 1, 2**64 - 1))


def lookup_mode(step: Operation) -> str:
    """What a lookup does out of range: the name of JAX's mode; empty where it has none."""
    return getattr(step.equation.params.get("mode"), "name", "")


def _ranges(index: _Index, limits: list[int], mode: str, names: tuple[str, ...]) -> list[Lookup]:
    steps = index.tape.needed(index.slot)
    wraps = {step.writes: _second for step in steps if counts_from_the_end(step, steps)}
    if mode == CLIP and not wraps:
        return []
    value = index.value(wraps if names else None)  # an author who writes an index may count from the end
    columns = value.reshape(-1, len(limits))
    if not columns.size:
        return []
    lows, highs = columns.min(axis=0), columns.max(axis=0)
    return [Lookup(int(a), int(b), size, names) for a, b, size in zip(lows, highs, limits, strict=True)]


def _second(_: Any, plain: Any, __: Any) -> Any:
    """Of a choice between an index and the same one counted from the end, the index as it was given."""
    return plain


def counts_from_the_end(step: Operation, steps: tuple[Operation, ...]) -> bool:
    """Whether a step is the choice that JAX adds to every lookup: index + size where the index is negative."""
    if step.name != "select_n" or len(step.reads) != 3:
        return False
    maker = {slot: other for other in steps for slot in other.writes}
    negative, plain, shifted = (maker.get(slot) for slot in step.reads)
    raw = step.reads[1]
    return (
        negative is not None
        and negative.name == "lt"
        and negative.reads[0] == raw
        and shifted is not None
        and shifted.name == "add"
        and shifted.reads[0] == raw
        and plain is not shifted
    )
