r"""First differences of a function of labels: what $f(x)$ becomes when one label takes another value, to first order.

A program reads labels as whole numbers: it rounds them, compares them, looks up tables by them. No derivative goes
through that. So the program is followed step by step, and as long as each element of a result depends on a few labels
(`Local`), its values at every value of each of these labels are computed beside it, all labels at once. Where elements
are then mixed (a sum, a product of matrices), the rest of the program is differentiated: with local results
$y_e(x)$,

$$f(x \mid x_i = v) - f(x) \approx \sum_e \frac{\partial f}{\partial y_e} \big(y_e(x \mid x_i = v) - y_e(x)\big).$$

This is exact where $f$ is a sum of local results, and where it is linear in those of each label. Whole numbers that are
mixed before they become floats are taken as floats. Where labels are mixed otherwise (sorted, compared after a sum,
read by a loop), the difference is lost.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.jaxprs.dataflow import called
from gmdsl.core.jaxprs.primitives import ELEMENTWISE, MOVED, OPAQUE
from gmdsl.core.jaxprs.tape import Operation, bound, traced

FAR = 1e9  # stands for an infinite difference
MOST_SOURCES = 4  # labels that one element may depend on and is still local
LIFTED = {
    *("add", "sub", "mul", "neg", "max", "min", "integer_pow", "square", "abs", "convert_element_type", "reduce_sum"),
    *("reduce_max", "reduce_min", "dot_general", "cumsum", "reduce_prod", *MOVED),
}  # operations on whole numbers that mean the same for floats


class Source(NamedTuple):
    """What the elements of an array become by one label each.

    Attributes:
        table: the array when all those labels have the first value, the second and so on.
        owner: which label each element depends on, as floats; elsewhere the number of labels, or no number of a label.
    """

    table: Array
    owner: Array


class Local(NamedTuple):
    """An array each of whose elements depends on a few labels."""

    value: Array
    sources: tuple[Source, ...]


class Lifted(NamedTuple):
    """Whole numbers of the program as floats that have derivatives."""

    value: Array


def first_differences(
    function: Callable[[Array], Array], x: Float[Array, " dim"], values: Float[Array, "most dim"]
) -> Float[Array, "dim most"]:
    """The first-order change of a function when one label takes another value.

    Args:
        function: from a vector of labels (floats) to a scalar.
        x: where.
        values: of each label its first value, its second, and so on.

    Returns:
        A finite number for each label and each value: NaN and infinite changes are `-FAR` or `FAR`.

    >>> import jax.numpy as jnp
    >>> table = jnp.array([0.0, 2.0, 5.0])
    >>> f = lambda x: jnp.sum(table[x.astype(int)]) + 10.0 * (x[0] == x[1])
    >>> x = jnp.array([0.0, 1.0])
    >>> values = jnp.arange(3.0)[:, None] * jnp.ones(2)
    >>> first_differences(f, x, values).tolist()
    [[0.0, 12.0, 5.0], [8.0, 0.0, 3.0]]
    """
    run = _Run(function, x, values)
    found = jax.grad(run.relaxed)(jnp.zeros((x.size, len(values)), x.dtype))
    return jnp.clip(jnp.nan_to_num(found, nan=-FAR, posinf=FAR, neginf=-FAR), -FAR, FAR)


def has_differences(function: Callable[[Array], Array], dim: int) -> bool:
    """Whether labels reach the result by steps that differences can be taken of.

    >>> import jax.numpy as jnp
    >>> has_differences(lambda x: jnp.sum(x), 2), has_differences(lambda x: 1.0 * jnp.argmax(x), 2)
    (True, False)
    """
    values = jnp.arange(2.0)[:, None] * jnp.ones(dim)
    shape = jax.ShapeDtypeStruct((dim,), values.dtype)
    found = traced(lambda have: first_differences(function, have["x"], values), {"x": shape}, fold=False)
    return bool(found.needed(found.output))


class _Run:
    """One evaluation of the function with weights of the other values, all zero, to be differentiated."""

    def __init__(self, function: Callable[[Array], Array], x: Array, values: Array) -> None:
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        self.tape = traced(lambda have: function(have["x"]), {"x": shape}, fold=False)
        self.x, self.values = x, values

    def relaxed(self, weights: Float[Array, "dim most"]) -> Array:
        """The function's value, whose derivative by the weights are the first differences."""
        self.weights = jnp.concatenate([weights, jnp.zeros_like(weights[:1])])
        owner = jnp.arange(self.x.size, dtype=jnp.float32)
        have = {**self.tape.values, self.tape.inputs["x"]: Local(self.x, (Source(self.values, owner),))}
        for step in self.tape.steps:
            found = self._step(step, [have[read] for read in step.reads])
            have.update(zip(step.writes, found, strict=True))
        return self._smooth(have[self.tape.output])

    def _step(self, step: Operation, operands: list[Any]) -> list[Any]:
        """The results of one operation."""
        local = [isinstance(operand, Local) for operand in operands]
        if any(isinstance(operand, Lifted) for operand in operands):
            return self._lifted(step, operands)
        if not any(local):
            return bound(step.equation, operands)
        if _is_elementwise(step.equation):
            found = _elementwise(step.equation, operands)
        elif (data := _moved_operands(step.name, len(operands))) and not any(
            is_local and place not in data for place, is_local in enumerate(local)
        ):
            return _moved(step.equation, operands, data)
        elif step.name == "gather" and local[1]:
            found = _looked_up(step.equation, self._smooth(operands[0]), operands[1])
        else:
            found = None
        return self._mixed(step, operands) if found is None else [found]

    def _mixed(self, step: Operation, operands: list[Any]) -> list[Any]:
        """An operation that mixes elements: of floats it is differentiated, of whole numbers lifted where it can be."""
        whole = any(isinstance(o, Local) and not jnp.issubdtype(o.value.dtype, jnp.floating) for o in operands)
        if whole and step.name in LIFTED:
            return self._lifted(step, operands)
        return bound(step.equation, [self._smooth(o) if isinstance(o, Local) else o for o in operands])

    def _lifted(self, step: Operation, operands: list[Any]) -> list[Any]:
        """An operation on whole numbers done with floats; one that means another thing for floats gets the numbers."""
        wanted = [variable.aval.dtype for variable in step.equation.outvars]
        if step.name not in LIFTED or any(jnp.issubdtype(dtype, jnp.bool_) for dtype in wanted):
            numbers = zip(operands, step.equation.invars, strict=True)
            return bound(step.equation, [self._as_written(o, variable.aval.dtype) for o, variable in numbers])
        if step.name == "convert_element_type":
            value, (dtype,) = self._smooth(operands[0], lift=True), wanted
            return [value.astype(dtype) if jnp.issubdtype(dtype, jnp.floating) else Lifted(value)]
        data = _moved_operands(step.name, len(operands)) or range(len(operands))
        floats = [self._smooth(o, lift=True) if i in data else _value(o) for i, o in enumerate(operands)]
        params = step.equation.params
        if "preferred_element_type" in params:
            params = {**params, "preferred_element_type": self.x.dtype}
        found = bound(step.equation.replace(params=params), floats)
        whole = not jnp.issubdtype(wanted[0], jnp.floating)
        return [Lifted(value) for value in found] if whole else found

    def _as_written(self, operand: Any, dtype: Any) -> Any:
        """A value as the program has it: whole numbers without a derivative."""
        value = self._smooth(operand)
        return jax.lax.stop_gradient(jnp.round(value)).astype(dtype) if isinstance(operand, Lifted) else value

    def _smooth(self, operand: Any, lift: bool = False) -> Any:
        """An array with its dependence on the weights; of whole numbers only when they are lifted."""
        if isinstance(operand, Lifted):
            return operand.value
        value = operand.value if isinstance(operand, Local) else jnp.asarray(operand)
        if lift and not jnp.issubdtype(value.dtype, jnp.floating):
            value = value.astype(self.x.dtype)
        if not isinstance(operand, Local) or not jnp.issubdtype(value.dtype, jnp.floating):
            return value
        for table, owner in operand.sources:
            change = _finite(jax.lax.stop_gradient(table.astype(value.dtype) - value))
            known = (owner >= 0) & (owner < self.x.size)
            weights = self.weights[jnp.where(known, owner, self.x.size).astype(int)]
            value = value + jnp.einsum("v...,...v->...", change, weights).astype(value.dtype)
        return value


def _finite(change: Array) -> Array:
    """Differences of which none is infinite; where a value is NaN it is as if it had no probability."""
    return jnp.clip(jnp.nan_to_num(change, nan=-FAR, posinf=FAR, neginf=-FAR), -FAR, FAR)


def _is_elementwise(equation: Any) -> bool:
    """Whether each element of the one result depends on the elements at its place only."""
    if equation.primitive.name in OPAQUE:
        inner = called(equation)
        jaxpr = getattr(inner, "jaxpr", inner)
        return len(equation.outvars) == 1 and all(_is_elementwise(inside) for inside in jaxpr.eqns)
    if equation.primitive.name in ("jit", "pjit"):
        return all(_is_elementwise(inside) for inside in equation.params["jaxpr"].jaxpr.eqns)
    if equation.primitive.name == "broadcast_in_dim":
        return not equation.invars[0].aval.shape
    return equation.primitive.name in ELEMENTWISE or not equation.params.get("axes", (0,))


def _value(operand: Any) -> Any:
    return operand.value if isinstance(operand, Local) else operand


def _elementwise(equation: Any, operands: list[Any]) -> Local | None:
    """The result of an elementwise operation; None when its elements depend on too many labels."""
    owners = {id(s.owner): s.owner for o in operands if isinstance(o, Local) for s in o.sources}
    if len(owners) > MOST_SOURCES:
        return None
    (value,) = bound(equation, [_value(operand) for operand in operands])
    sources = []
    for owner in owners.values():
        tables = [_table_of(operand, owner) for operand in operands]
        table = _over_values(equation, operands, tables)[0]
        sources.append(Source(table, owner if owner.shape == value.shape else jnp.broadcast_to(owner, value.shape)))
    return Local(value, tuple(sources))


def _table_of(operand: Any, owner: Array) -> Array | None:
    """What an operand becomes by the labels of one owner; None when it does not depend on them."""
    sources = operand.sources if isinstance(operand, Local) else ()
    return next((source.table for source in sources if source.owner is owner), None)


def _over_values(equation: Any, operands: list[Any], tables: list[Any]) -> list[Array]:
    """An operation at every value of the labels."""
    axes = [None if table is None else 0 for table in tables]
    given = [_value(operand) if table is None else table for operand, table in zip(operands, tables, strict=True)]
    return jax.vmap(lambda *values: bound(equation, list(values)), in_axes=axes)(*given)


def _moved_operands(name: str, count: int) -> tuple[int, ...]:
    """Which operands are moved, in operations that only move elements."""
    return (0, 2) if name == "scatter" else MOVED[name](count) if name in MOVED else ()


def _moved(equation: Any, operands: list[Any], data: tuple[int, ...]) -> list[Local]:
    """The results of an operation that moves elements: it moves tables and owners alike."""
    values = bound(equation, [_value(operand) for operand in operands])
    found: list[list[Source]] = [[] for _ in values]
    for number in range(max(len(o.sources) for o in operands if isinstance(o, Local))):
        parts = [_source(operand, number) for operand in operands]
        tables = _over_values(equation, operands, [None if part is None else part.table for part in parts])
        owners = [_owner(operand, part) if i in data else _value(operand)
                  for i, (operand, part) in enumerate(zip(operands, parts, strict=True))]  # fmt: skip
        for sources, table, owner in zip(found, tables, bound(equation, owners), strict=True):
            sources.append(Source(table, owner))
    return [Local(value, tuple(sources)) for value, sources in zip(values, found, strict=True)]


def _source(operand: Any, number: int) -> Source | None:
    """One source of an operand, if it has as many."""
    return operand.sources[number] if isinstance(operand, Local) and number < len(operand.sources) else None


def _owner(operand: Any, part: Source | None) -> Array:
    """The owners of an operand; -1 where it depends on no label."""
    return jnp.full(jnp.shape(_value(operand)), -1.0, jnp.float32) if part is None else part.owner


def _looked_up(equation: Any, operand: Any, index: Local) -> Local | None:
    """Elements of an array at indices that are labels; None when they depend on too many."""
    columns = index.value.shape[-1]
    if columns * len(index.sources) > MOST_SOURCES:
        return None
    (value,) = bound(equation, [operand, index.value])
    offsets = equation.params["dimension_numbers"].offset_dims
    batch = tuple(axis for axis in range(value.ndim) if axis not in offsets)
    sources = []
    for table, owner in index.sources:
        for column in range(columns):
            one = jnp.arange(columns) == column
            moved = jax.vmap(lambda row, one=one: jnp.where(one, row, index.value))(table)
            (found,) = _over_values(equation, [operand, index.value], [None, moved])
            sources.append(Source(found, jax.lax.broadcast_in_dim(owner[..., column], value.shape, batch)))
    return Local(value, tuple(sources))
