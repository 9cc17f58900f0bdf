"""Probing a function once, with shapes and no numbers, when a model is declared.

`jax.eval_shape` runs the user's function on abstract values of the right shapes and dtypes. What
comes back says whether the node is a distribution, a computed value or an energy, and every
mistake that shapes can show is reported here, with the name of the node.
"""

import contextlib
import sys
import traceback
import warnings
from collections.abc import Generator, Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gmdsl.core.errors import RankWarning, SpecError
from gmdsl.distributions.recognise import is_distribution, is_improper
from gmdsl.graph.factor import Call
from gmdsl.graph.factor_graph import Abstract, FactorGraph, shapes_of
from gmdsl.spaces.space import Real, Space, dtype_of


def probe_node(name: str, call: Any, known: Abstract) -> tuple[Space, bool, bool]:
    """What a node of a joint is: its space, whether it is random, whether it is proper."""
    from gmdsl.spaces.from_constraint import space_of  # with all spaces, which an energy need not have

    found: dict[str, Any] = {}

    def run(values: Abstract) -> Any:
        result = call(values)
        if not is_distribution(result):
            found["space"] = None
            return jnp.asarray(result)
        _check_parameters(name, result)
        shape = tuple(result.batch_shape) + tuple(result.event_shape)
        found["space"] = space_of(result.support, shape)
        found["proper"] = not is_improper(result)
        value = jnp.zeros(shape, dtype_of(found["space"]))
        return jnp.sum(result.log_prob(value))

    with _checked_here():
        out = evaluated(name, run, call, known)
    if found["space"] is not None:
        return found["space"], True, found["proper"]
    return Real(*out.shape), False, False


def probe_numbers(name: str, call: Any, known: Abstract, data: Abstract) -> None:
    """Checks the data that a node hands to its distribution as they are, such as standard errors.

    Raises:
        SpecError: a number outside the constraint of its parameter.
    """
    read = {variable: np.asarray(data[variable]) for variable in call.variables if variable in data}

    def run(values: Abstract) -> Any:
        result = call({**values, **read})
        if is_distribution(result):
            _check_parameters(name, result)

    if read:
        try:
            with _checked_here(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                evaluated(name, run, call, {**known, **read})
        except SpecError as error:
            if error.__cause__ is None:  # what else fails on numbers is the function's own business
                raise


def check_numbers(model: FactorGraph, names: Iterable[str]) -> None:
    """Checks data that a node hands to its distribution, after some of them have changed.

    Raises:
        SpecError: a number outside the constraint of its parameter.
    """
    fresh, shapes = set(names) & model.data.keys(), shapes_of(model)
    for factor in model.factors:
        call = getattr(factor, "call", None)
        if call is not None and factor.children and fresh & set(factor.parents):
            probe_numbers(factor.children[0], call, shapes, model.data)


def probe_energy(name: str, call: Call, known: Abstract) -> None:
    """Checks that an energy is one real number, and warns of silent broadcasting.

    Raises:
        SpecError: the energy is not a scalar, or not a real number.
    """
    with jax.numpy_rank_promotion("warn"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program, out = evaluated(name, lambda values: _number(name, call(values)), call, known, _program_and_shape)
    for warning in caught:
        if "rank promotion" in str(warning.message):
            text = str(warning.message).split(" Set the ")[0].strip()
            warnings.warn(f"{name}: {text} Add the axis yourself, as in x[:, None].", RankWarning, stacklevel=4)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    given = _describe(call, known)
    _check_repeated(name, call, known, program)
    if out.shape != ():
        raise SpecError(f"{name}: an energy is one number, but it gave shape {out.shape} for {given}. Add .sum().")
    real = [variable for variable in call.variables if jnp.issubdtype(jnp.result_type(known[variable]), jnp.floating)]
    if not jnp.issubdtype(out.dtype, jnp.floating) and (real or jnp.issubdtype(out.dtype, jnp.complexfloating)):
        raise SpecError(
            f"{name}: an energy is a real number, but it gave dtype {out.dtype} for {given}. Return a float."
        )


def _number(name: str, value: Any) -> Any:
    """What an energy gave, as an array."""
    if value is None or isinstance(value, tuple | list | dict):
        raise SpecError(
            f"{name}: an energy is one number, but it gave {type(value).__name__}. Return the number alone."
        )
    return jnp.asarray(value)


def _program_and_shape(run: Any, shapes: Abstract) -> Any:
    return jax.make_jaxpr(run, return_shape=True)(shapes)


def _check_repeated(name: str, call: Call, known: Abstract, first: Any) -> None:
    """Refuses a plain function that is another one each time it is called, because it draws random numbers.

    Raises:
        SpecError: a second call gives another program than the first.
    """
    if isinstance(call.function, eqx.Module):
        return
    second, _ = evaluated(name, lambda values: _number(name, call(values)), call, known, _program_and_shape)
    pairs = zip(_constants(first), _constants(second), strict=False)
    same = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)
    if not same or str(first) != str(second):
        raise SpecError(
            f"{name}: two calls of its function are two different densities, so it draws random numbers or changes"
            " something outside. Draw them once and pass them as data (gm.data)."
        )


def _constants(program: Any) -> list[np.ndarray]:
    return [np.asarray(c) for c in program.consts if not jax.dtypes.issubdtype(c.dtype, jax.dtypes.prng_key)]


def evaluated(name: str, run: Any, call: Any, known: Abstract, trace: Any = jax.eval_shape) -> Any:
    """What `run(values)` gives on the shapes that a call reads, with errors that name the node."""
    shapes = {v: known[v] for v in call.variables if _is_shape(known[v])}
    numbers = {v: known[v] for v in call.variables if v not in shapes}
    try:
        return trace(lambda values: run({**numbers, **values}), shapes)
    except SpecError:
        raise
    except jax.errors.JAXTypeError as error:
        text = str(error).split("\n")[0]
        fix = "Use jnp.where or lax.cond instead of Python branches"
        if isinstance(error, jax.errors.TracerArrayConversionError):
            fix = "Use jax.numpy instead of NumPy (jnp.exp, not np.exp)"
        raise SpecError(
            f"{name}: it needs the value of a traced array ({text}), but only shapes are known when a model is built."
            f" {fix}."
        ) from error
    except Exception as error:
        if _is_in_numpyro_statement(error):
            raise SpecError(
                f"{name}: there is a numpyro statement inside its function. Return the distribution instead, as in"
                " lambda mu: dist.Normal(mu, 1.0), or pass a whole NumPyro model to gm.from_numpyro_model."
            ) from error
        text = f"{type(error).__name__}: {error}" if not isinstance(error, TypeError | ValueError) else str(error)
        text = text.split("\n")[0].rstrip(".")
        raise SpecError(
            f"{name}: its function failed for {_describe(call, known)}: {text}. Check it and the shapes it gets."
        ) from error


def _is_in_numpyro_statement(error: Exception) -> bool:
    """Whether an error comes out of `numpyro.sample`, or another statement that wants a handler around it."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == "numpyro.primitives" for frame, _ in frames)


def _is_shape(value: Any) -> bool:
    """Whether a value is a shape, or a tree of them (the carry of a path)."""
    leaves = jax.tree.leaves(value)
    return bool(leaves) and all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)


def _describe(call: Any, known: Abstract) -> str:
    return ", ".join(f"{v.strip('/')}{tuple(getattr(known[v], 'shape', ()))}" for v in call.variables) or "no arguments"


def _check_parameters(name: str, distribution: Any) -> None:
    """Refuses constant parameters outside their constraint, such as a negative scale."""
    inner, seen = distribution, 0
    while hasattr(inner, "base_dist") and seen < 10:
        _check_own_parameters(name, inner)
        inner, seen = inner.base_dist, seen + 1
    _check_own_parameters(name, inner)


def _check_own_parameters(name: str, distribution: Any) -> None:
    for parameter, constraint in getattr(distribution, "arg_constraints", {}).items():
        value = vars(distribution).get(parameter)
        if value is None or isinstance(value, Tracer) or not hasattr(constraint, "check"):
            continue
        try:
            good = bool(np.all(constraint.check(np.asarray(value))))
        except (NotImplementedError, TypeError, ValueError, jax.errors.JAXTypeError):
            continue
        if not good:
            raise SpecError(
                f"{name}: {type(distribution).__name__}({parameter}={_outside(constraint, value)}), but {parameter} was"
                f" declared {constraint!r}. Correct the number."
            )


def _outside(constraint: Any, value: Any) -> Any:
    """The first number outside a constraint, with its place."""
    array, good = np.asarray(value), np.asarray(constraint.check(np.asarray(value)))
    if array.ndim == 0 or good.shape != array.shape:
        return array
    where = tuple(int(i) for i in np.argwhere(~good)[0])
    return f"{array[where]} at {where}"


@contextlib.contextmanager
def _checked_here() -> Generator[None]:
    """Lets bad constants reach the check that names the node; NumPyro's own names the distribution alone."""
    numpyro = sys.modules.get("numpyro.distributions.distribution")
    if numpyro is None:
        yield
    else:
        with numpyro.validation_enabled(False):
            yield
