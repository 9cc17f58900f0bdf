"""Bounds of values, read off a traced program: is this scale above zero whatever its inputs are?

Interval arithmetic. A rule that is not known gives the whole line, so what is claimed is true of real numbers
(rounding, as of `exp(-1000.0)` to zero, is not looked at).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.core import Tracer
from jax.extend.core import Literal

from gmdsl.core.jaxprs.dataflow import called

INF = math.inf


class Bounds(NamedTuple):
    """Where all elements of an array lie.

    Attributes:
        low: no element is smaller.
        high: no element is larger.
        open: whether the finite ones of the two are not reached (but for single points of no probability).
    """

    low: float = -INF
    high: float = INF
    open: bool = False

    def above(self, bound: float, *, strictly: bool) -> bool:
        """Whether every element is above a bound."""
        return self.low > bound or (self.low == bound and (self.open or not strictly))

    def below(self, bound: float, *, strictly: bool) -> bool:
        """Whether every element is below a bound."""
        return self.high < bound or (self.high == bound and (self.open or not strictly))


ANYTHING = Bounds()


def bounds_in(closed: Any, bounds: Sequence[Bounds]) -> list[Bounds]:
    """The bounds of each output of a traced program, given those of its inputs.

    >>> import jax, jax.numpy as jnp
    >>> bounds_in(jax.make_jaxpr(lambda x: jnp.exp(x) + 1.0)(jnp.zeros(3)), [ANYTHING])
    [Bounds(low=1.0, high=inf, open=True)]
    """
    return _flow(closed.jaxpr, closed.consts, list(bounds))


def of_array(value: Any) -> Bounds:
    """The bounds of an array of numbers."""
    array = np.asarray(value)
    if array.size == 0 or array.dtype.kind not in "biuf" or np.isnan(array).any():
        return ANYTHING
    return Bounds(float(array.min()), float(array.max()))


def _flow(jaxpr: Any, constants: Sequence[Any], inputs: list[Bounds]) -> list[Bounds]:
    known: dict[Any, Bounds] = dict(zip(jaxpr.invars, inputs, strict=True))
    known |= {v: of_array(c) if _is_numbers(c) else ANYTHING for v, c in zip(jaxpr.constvars, constants, strict=True)}
    maker: dict[Any, Any] = {}

    def read(atom: Any) -> Bounds:
        return of_array(atom.val) if isinstance(atom, Literal) else known.get(atom, ANYTHING)

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        closed = called(equation)
        inner = getattr(closed, "jaxpr", closed)
        if inner is not None and len(inner.invars) == len(operands):
            found = _flow(inner, getattr(closed, "consts", ()), operands)
        elif equation.primitive.name == "select_n":
            found = [_select(equation, operands, maker)]
        else:
            rule = RULES.get(equation.primitive.name)
            found = [rule(equation, *operands) if rule else ANYTHING] * len(equation.outvars)
        known.update(zip(equation.outvars, found, strict=True))
        maker.update(dict.fromkeys(equation.outvars, equation))
    return [read(atom) for atom in jaxpr.outvars]


def _is_numbers(value: Any) -> bool:
    return not isinstance(value, Tracer) and getattr(value, "dtype", np.dtype("O")).kind in "biuf"


def _select(equation: Any, operands: list[Bounds], maker: dict[Any, Any]) -> Bounds:
    """Either of two; a branch for NaN (`x != x`, as in `softplus`) is not counted."""
    made = None if isinstance(equation.invars[0], Literal) else maker.get(equation.invars[0])
    if made is not None and made.primitive.name == "ne" and made.invars[0] is made.invars[1]:
        return operands[1]
    return _union(*operands[1:])


def _union(*found: Bounds) -> Bounds:
    low, high = min(b.low for b in found), max(b.high for b in found)
    return Bounds(low, high, all(b.open for b in found if low in (b.low, -INF) or high in (b.high, INF)))


def _add(_: Any, a: Bounds, b: Bounds) -> Bounds:
    return Bounds(a.low + b.low, a.high + b.high, a.open or b.open)


def _negative(_: Any, a: Bounds) -> Bounds:
    return Bounds(-a.high, -a.low, a.open)


def _product(x: float, y: float) -> float:
    return 0.0 if 0.0 in (x, y) else x * y


def _multiply(equation: Any, a: Bounds, b: Bounds) -> Bounds:
    if equation.primitive.name == "mul" and equation.invars[0] is equation.invars[1]:
        return _whole_power(a, 2)
    corners = [_product(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    reached = [bound for bound in (a, b) if not bound.open and bound.low <= 0.0 <= bound.high]
    return Bounds(min(corners), max(corners), (a.open or b.open) and not reached)


def _reciprocal(a: Bounds) -> Bounds:
    if a.low >= 0.0:
        return Bounds(0.0 if a.high == INF else 1.0 / a.high, INF if a.low == 0.0 else 1.0 / a.low, True)
    if a.high <= 0.0:
        return _negative(None, _reciprocal(_negative(None, a)))
    return ANYTHING


def _divide(equation: Any, a: Bounds, b: Bounds) -> Bounds:
    if 0.0 in (b.low, b.high) and not b.open:
        return ANYTHING
    return _multiply(equation, a, _reciprocal(b))


def _power(equation: Any, a: Bounds) -> Bounds:
    exponent = equation.params["y"]
    if exponent < 0:
        return _reciprocal(_whole_power(a, -exponent)) if a.low > 0.0 or (a.low == 0.0 and a.open) else ANYTHING
    return _whole_power(a, exponent)


def _whole_power(a: Bounds, exponent: int) -> Bounds:
    if exponent % 2 or a.low >= 0.0:
        return Bounds(_raise(a.low, exponent), _raise(a.high, exponent), a.open)
    return Bounds(0.0, max(_raise(a.low, exponent), _raise(a.high, exponent)), False)


def _raise(x: float, exponent: int) -> float:
    try:
        return float(x) ** exponent
    except OverflowError:
        return INF if x > 0 or exponent % 2 == 0 else -INF


def _general_power(_: Any, a: Bounds, b: Bounds) -> Bounds:
    return Bounds(0.0, INF, a.low > 0.0 or (a.low == 0.0 and a.open)) if a.low >= 0.0 else ANYTHING


def _monotone(function: Callable[[float], float], low: float, high: float) -> Callable[..., Bounds]:
    """The rule of an increasing function with the given limits, which are not reached."""

    def rule(_: Any, a: Bounds) -> Bounds:
        ends = low if a.low == -INF else _evaluate(function, a.low, low), high if a.high == INF else function_or(a.high)
        return Bounds(*ends, a.open or ends[0] in (low, -INF))

    def function_or(x: float) -> float:
        return _evaluate(function, x, high)

    return rule


def _evaluate(function: Callable[[float], float], x: float, otherwise: float) -> float:
    try:
        return function(x)
    except (ValueError, OverflowError):
        return otherwise


def _absolute(_: Any, a: Bounds) -> Bounds:
    if a.low >= 0.0:
        return a
    if a.high <= 0.0:
        return _negative(None, a)
    return Bounds(0.0, max(-a.low, a.high), False)


def _maximum(_: Any, a: Bounds, b: Bounds) -> Bounds:
    low = max(a.low, b.low)
    return Bounds(low, max(a.high, b.high), all(x.open for x in (a, b) if x.low == low))


def _minimum(_: Any, a: Bounds, b: Bounds) -> Bounds:
    high = min(a.high, b.high)
    return Bounds(min(a.low, b.low), high, all(x.open for x in (a, b) if x.high == high))


def _sum(equation: Any, a: Bounds) -> Bounds:
    inside, outside = equation.invars[0].aval.size, max(1, equation.outvars[0].aval.size)
    count = inside // outside
    return Bounds(_product(a.low, count), _product(a.high, count), a.open) if count else Bounds(0.0, 0.0)


def _dot(_: Any, a: Bounds, b: Bounds) -> Bounds:
    return Bounds(0.0, INF, a.open and b.open) if a.low >= 0.0 and b.low >= 0.0 else ANYTHING


def _running_sum(equation: Any, a: Bounds) -> Bounds:
    count = equation.invars[0].aval.size
    return Bounds(min(a.low, _product(a.low, count)), max(a.high, _product(a.high, count)), a.open)


def _same(_: Any, a: Bounds, *__: Bounds) -> Bounds:
    return a


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


RULES: dict[str, Callable[..., Bounds]] = {
    **dict.fromkeys(("add", "add_any"), _add),
    "sub": lambda equation, a, b: _add(equation, a, _negative(equation, b)),
    "neg": _negative,
    "mul": _multiply,
    "div": _divide,
    "integer_pow": _power,
    "square": lambda _, a: _whole_power(a, 2),
    "pow": _general_power,
    "exp": _monotone(math.exp, 0.0, INF),
    "exp2": _monotone(lambda x: 2.0**x, 0.0, INF),
    "log": _monotone(math.log, -INF, INF),
    "log1p": _monotone(math.log1p, -INF, INF),
    "expm1": _monotone(math.expm1, -1.0, INF),
    "sqrt": lambda _, a: Bounds(math.sqrt(max(a.low, 0.0)), math.sqrt(max(a.high, 0.0)), a.open and a.low >= 0.0),
    "rsqrt": lambda _, a: Bounds(0.0, INF, True) if a.low >= 0.0 else ANYTHING,
    "logistic": _monotone(_logistic, 0.0, 1.0),
    "tanh": _monotone(math.tanh, -1.0, 1.0),
    "erf": _monotone(math.erf, -1.0, 1.0),
    "erfc": lambda _, a: Bounds(0.0, 2.0, True),
    "atan": _monotone(math.atan, -math.pi / 2, math.pi / 2),
    **dict.fromkeys(("sin", "cos", "sign"), lambda _, a: Bounds(-1.0, 1.0)),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "is_finite"), lambda *_: Bounds(0.0, 1.0)),
    "abs": _absolute,
    "max": _maximum,
    "min": _minimum,
    "clamp": lambda e, low, a, high: _minimum(e, _maximum(e, a, low), high),
    "floor": lambda _, a: Bounds(_round(math.floor, a.low), a.high),
    "ceil": lambda _, a: Bounds(a.low, _round(math.ceil, a.high)),
    "reduce_sum": _sum,
    "cumsum": _running_sum,
    "dot_general": _dot,
    **dict.fromkeys(("reduce_max", "reduce_min", "cummax", "cummin", "sort"), _same),
    **dict.fromkeys(
        ("reshape", "transpose", "squeeze", "expand_dims", "broadcast_in_dim", "slice", "rev", "copy", "copy_p",
         "split", "dynamic_slice", "tile", "stop_gradient", "convert_element_type",
         "reduce_precision", "optimization_barrier"),
        _same,
    ),
    "gather": _same,
    "concatenate": lambda _, *all_: _union(*all_),
    "stack": lambda _, *all_: _union(*all_),
    "iota": lambda e: Bounds(0.0, float(max(e.params["shape"][e.params["dimension"]] - 1, 0))),
}  # fmt: skip


def _round(function: Callable[[float], int], x: float) -> float:
    return float(function(x)) if math.isfinite(x) else x
