"""How a conditional is written: `y ~ Normal(mu, f(x, b))`, read off one trace of its function."""

import inspect
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import Literal

from gmdsl.core.jaxprs.dataflow import called
from gmdsl.graph.factor import Factor
from gmdsl.graph.factor_graph import FactorGraph, shapes_of
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.wrapped import innermost

SHAPING = {"reshape", "squeeze", "expand_dims", "broadcast_in_dim", "convert_element_type", "copy", "copy_p"}
WRAPPERS = ("Independent", "ExpandedDistribution", "MaskedDistribution")


def formula(model: FactorGraph, factor: Factor) -> str:
    """The law of a variable in words of its node; empty where a factor is no distribution of one variable.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> model = gm.joint(s=dist.HalfNormal(2.0), y=lambda s: dist.Normal(0.0, s).expand([3]))
    >>> [formula(model, factor) for factor in model.factors]
    ['s ~ HalfNormal(2)', 'y ~ Normal(0, s)']
    """
    inner = innermost(factor)
    if not isinstance(inner, Distributed):
        return ""
    try:
        return f"{inner.child} ~ {_law(model, inner)}"
    except Exception:  # a picture is not worth an error: some laws cannot be taken apart
        return ""


def sizes(model: FactorGraph, name: str) -> str:
    """The shape of a variable, with the names of its dimensions."""
    shape, labels = model.spaces[name].shape, dict(model.dims).get(name, ())
    if not shape:
        return ""
    named = [f"{labels[i]}={size}" if i < len(labels) else str(size) for i, size in enumerate(shape)]
    return f" ({', '.join(named)})"


def _law(model: FactorGraph, factor: Distributed) -> str:
    known = shapes_of(model)
    shapes = {name: known[name] for name in factor.parents if isinstance(known[name], jax.ShapeDtypeStruct)}
    numbers = {name: known[name] for name in factor.parents if name not in shapes}
    found: list[tuple[str, list[tuple[str, Any]]]] = []

    def run(values: list[Any]) -> list[Any]:
        named = {**numbers, **dict(zip(shapes, values, strict=True))}
        found.append(_take_apart(factor.distribution(named)))
        return [value for _, value in found[0][1] if isinstance(value, Tracer)]

    closed = jax.make_jaxpr(run)(list(shapes.values()))
    origins = _origins(closed.jaxpr, dict(zip(closed.jaxpr.invars, shapes, strict=True)))
    outputs = iter(closed.jaxpr.outvars)
    kind, parameters = found[0]
    written = []
    for name, value in parameters:
        moving = isinstance(value, Tracer)
        atom = next(outputs) if moving else None
        direct = None if atom is None or isinstance(atom, Literal) else origins.get(atom)
        written.append((name, direct or (f"f({', '.join(factor.parents)})" if moving else _number(value))))
    keywords = kind in ("Binomial", "Bernoulli", "Categorical", "Multinomial", "Geometric") or len(written) > 2
    shown = ", ".join(f"{name}={value}" if keywords else value for name, value in written)
    return f"{kind}({shown})"


def _take_apart(distribution: Any) -> tuple[str, list[tuple[str, Any]]]:
    """The name of a family and its parameters, in the order of its signature."""
    while type(distribution).__name__ in WRAPPERS:
        distribution = distribution.base_dist
    kind = type(distribution).__name__.lstrip("_")
    for ending in ("Probs", "Logits"):
        kind = kind.removesuffix(ending)
    names = [name for name in inspect.signature(type(distribution)).parameters if name in vars(distribution)]
    held = [(name, vars(distribution)[name]) for name in names if name in distribution.arg_constraints]
    if not held and hasattr(distribution, "base_dist"):
        inside, held = _take_apart(distribution.base_dist)
        kind = f"{kind.removesuffix('Distribution')}{inside}"
    return kind, [(name, value) for name, value in held if value is not None]


def _origins(jaxpr: Any, inputs: Mapping[Any, str]) -> dict[Any, str]:
    """Which variable is in each value that is nothing but a variable in another shape."""
    found = dict(inputs)
    for equation in jaxpr.eqns:
        first = equation.invars[0] if equation.invars else None
        inner = called(equation)
        if inner is not None or equation.primitive.name not in SHAPING or isinstance(first, Literal):
            continue
        if first in found:
            found[equation.outvars[0]] = found[first]
    return found


def _number(value: Any) -> str:
    array = np.asarray(value)
    if array.size and (array == array.flat[0]).all():
        return f"{array.flat[0]:g}" if array.dtype.kind in "fiub" else str(array.flat[0])
    return f"array{list(array.shape)}"
