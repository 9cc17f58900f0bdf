r"""A compiled model: its log-density, score and maps to the unconstrained line.

`compile` runs the passes check and lower; what comes out is a handful of jitted functions with the
arrays of the model as arguments.
"""

import dataclasses
import functools
import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.without_density import without_density
from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.user_arrays import as_numbers
from gmdsl.inference.target import Target
from gmdsl.models.display import as_html, as_rich
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model
from gmdsl.spaces.space import Space

if TYPE_CHECKING:
    from gmdsl.compiler.integrals.log_normalizer import LogNormalizer
    from gmdsl.compiler.integrals.quadrature import Quadrature


class Density:
    """The log-density of a model and what follows from it, at one point at a time (use `jax.vmap`).

    Values are dicts from the names of the free variables to arrays of exactly the declared shapes.
    Everything works inside `jax.jit`, `jax.grad` and `jax.vmap`.
    """

    def __init__(self, model: Model, moved: Target | None = None, source: Any = None):
        self.model = model
        self.target = FlatTarget.of(model)  # the flat unconstrained vector, Jacobian included
        self.moved = self.target if moved is None else moved  # what chains move on: that, or replicas of it on a path
        self.source = model if source is None else source  # what the user gave
        self._program, self._arrays = self.target.program, (self.target.leaves, self.target.hoisted)

    @functools.cached_property
    def gone(self) -> Bool[np.ndarray, " dim"]:
        """Which coordinates of the flat vector have no density (`gmdsl.compiler.without_density`)."""
        return without_density(self.target)

    def check_unbounded(self, operation: str) -> None:
        """Refuses free variables without an end that are an index; models of one structure are looked at once.

        Args:
            operation: what the user called, for messages.
        """
        from gmdsl.models.probe.indices import check_unbounded

        if not self._program.is_bounded:
            check_unbounded(f"{operation}(...)", self.model)
            self._program.is_bounded = True

    @property
    def gone_elements(self) -> dict[str, list[int]]:
        """The same by variable: places in its unconstrained value, for those that have some."""
        slots = {s.name: np.flatnonzero(self.gone[s.start : s.stop]).tolist() for s in self.target.slots}
        return {name: places for name, places in slots.items() if places}

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the free variables, in the order of the flat vector."""
        return self._program.free

    @property
    def dim(self) -> int:
        """Length of the flat unconstrained vector."""
        return self._program.plan.dim

    @property
    def normalized(self) -> bool:
        """Whether the density integrates to one over the free variables."""
        return self.model.capabilities().normalized

    @property
    def spaces(self) -> dict[str, Space]:
        """Space of every variable."""
        return self._program.spaces

    def log_density(self, values: Mapping[str, Any]) -> Float[Array, ""]:
        """The log-density at one point, in the constrained variables, without Jacobian.

        >>> import gmdsl as gm
        >>> bowl = gm.compile(gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2)))
        >>> float(bowl.log_density({"x": [3.0, 4.0]}))
        -12.5
        """
        return self._program.jit_log_density(*self._arrays, self._point("log_density", values))

    def energy(self, values: Mapping[str, Any]) -> Float[Array, ""]:
        """Minus the log-density."""
        return -self.log_density(values)

    def score(self, values: Mapping[str, Any]) -> dict[str, Array]:
        """The gradient of the log-density with respect to each float variable.

        >>> import gmdsl as gm
        >>> bowl = gm.compile(gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2)))
        >>> bowl.score({"x": [3.0, 4.0]})["x"].tolist()
        [-3.0, -4.0]
        """
        return self._program.jit_score(*self._arrays, self._point("score", values))

    def log_density_and_score(self, values: Mapping[str, Any]) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Both at once, for the price of the gradient."""
        point = self._point("log_density_and_score", values)
        return self._program.jit_log_density_and_score(*self._arrays, point)

    def constrain(self, x: Float[Array, " dim"]) -> dict[str, Array]:
        """Free and deterministic variables from the flat unconstrained vector."""
        x = jnp.asarray(x)
        if x.shape != (self.dim,):
            raise SpecError(
                f"constrain(x): shape {x.shape}, but the flat vector has shape {(self.dim,)}. Use jax.vmap."
            )
        return self._program.jit_constrain(*self._arrays, x)

    def unconstrain(self, values: Mapping[str, Any]) -> Float[Array, " dim"]:
        """The flat unconstrained vector of named values."""
        return self._program.jit_unconstrain(*self._arrays, self._point("unconstrain", values))

    def sample(self, key: Array, shape: tuple[int, ...] | int = ()) -> dict[str, Array]:
        """Exact independent draws, where the model can be drawn from (`Model.sample`)."""
        return self.model.sample(key, shape)

    def log_normalizer(self, method: "Quadrature | None" = None) -> "LogNormalizer":
        """The log of the integral of the density, exactly or by quadrature (`gm.log_normalizer`)."""
        from gmdsl.compiler.integrals.log_normalizer import log_normalizer

        return log_normalizer(self.model, method)

    def with_data(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> "Density":
        """The same density for other data or observations of the same shapes; compiles nothing.

        Raises:
            SpecError: a name that is neither data nor observed, or another shape.
        """
        from gmdsl.models.operators.condition import checked, checked_observation
        from gmdsl.models.probe.indices import check_indices
        from gmdsl.models.probe.reproved import reproved
        from gmdsl.models.probe.shapes import check_numbers
        from gmdsl.models.probe.supports import check_supports

        data, observed = dict(self.model.data), dict(self.model.observed)
        for name, value in {**(values or {}), **named}.items():
            operation = f"with_data({name}=...)"
            if name in observed:
                observed[name] = checked_observation(operation, self.model, name, value)
            elif name in data:
                space = dict(self.model.bound).get(name)
                fresh = as_numbers(operation, value) if space is None else checked(operation, name, space, value)
                data[name] = _same_shape(operation, name, fresh, data[name])
            else:
                raise unknown_name(operation, name, [*data, *observed], "data and observed values")
        model = dataclasses.replace(self.model, data=data, observed=observed)
        check_numbers(model, {**(values or {}), **named})
        check_indices("with_data(...)", model, {**(values or {}), **named})
        model = check_supports("with_data(...)", model, model.observed)
        return Density(reproved(model, {**(values or {}), **named}, self.model.data))

    def __repr__(self) -> str:
        return f"Density\n{explain(self)}"

    def _repr_html_(self) -> str:
        """What the compiler did, and the tables of the model, for notebooks."""
        return f"<pre>{html.escape(repr(self))}</pre>{as_html(self.model)}"

    def __rich__(self) -> Any:
        """What the compiler did, and the tables of the model, for terminals."""
        from rich.console import Group
        from rich.text import Text

        return Group(Text(repr(self)), Text(), as_rich(self.model))

    def explain(self) -> str:
        """What the compiler did: which variables move, where their supports come from, what is constant."""
        return explain(self)

    def _point(self, verb: str, values: Mapping[str, Any]) -> dict[str, Array]:
        """The values of exactly the free variables, with declared shapes."""
        if isinstance(values, Mapping) and len(values) == len(self._program.signature):
            try:
                fits = all(
                    (value := values[name]).shape == shape and value.dtype == dtype
                    for name, shape, dtype in self._program.signature
                )
            except (AttributeError, KeyError):
                fits = False
            if fits:
                return dict(values)
        return self._convert(verb, values)

    def _convert(self, verb: str, values: Mapping[str, Any]) -> dict[str, Array]:
        if not isinstance(values, Mapping):
            names = ", ".join(f"{name!r}: ..." for name in self._program.free)
            raise SpecError(
                f"{verb}({type(values).__name__}): values are given by name, as {verb}({{{names}}}). constrain(x) names"
                " those of a flat unconstrained vector; target takes such a vector as it is."
            )
        for name in values:
            if name not in self._program.free:
                raise unknown_name(f"{verb}({{{name!r}: ...}})", name, self._program.free, "free variables")
        point = {}
        for name, shape, dtype in self._program.signature:
            if name not in values:
                raise SpecError(
                    f"{verb}(...): {name} is missing; the free variables are {', '.join(self.free)}. Give each a value."
                )
            value = jnp.asarray(values[name])
            if dtype.kind == "i" and value.dtype.kind == "f" and not _is_whole(value):
                raise SpecError(
                    f"{verb}(...): {name} is {value.dtype}, but its values are whole numbers. Pass integers."
                )
            if value.shape != shape:
                raise SpecError(
                    f"{verb}(...): {name} has shape {value.shape}, but was declared {shape}."
                    " Pass one point; for many, use jax.vmap."
                )
            point[name] = jax.lax.convert_element_type(value, dtype)  # strong type, whatever came in
        return point


def compile(model: Model) -> Density:
    """Compiles a model to its log-density and score.

    Args:
        model: what `gm.energy`, `gm.joint` or an operator made.

    Raises:
        SpecError: unbound inputs, cycles, nothing free.

    >>> import gmdsl as gm
    >>> gm.compile(gm.energy(lambda x: x @ x, x=gm.Real(2))).dim
    2
    """
    if not isinstance(model, Model):
        raise SpecError(f"compile(...): a model is needed, not {mistaken(model)}. Make one by gm.energy or gm.joint.")
    for factor in model.factors:
        if factor.atomic:
            from gmdsl.graph.factors.empirical import no_density

            raise no_density("compile(...)", factor)
    density = Density(model)
    density.check_unbounded("compile")
    return density


def explain(density: Density) -> str:
    """The text of `Density.explain`."""
    from gmdsl.exact.marginal import accounts

    program, steps = density._program, density._program.plan
    owners = {name: program.factor_names[i] for i, names in enumerate(steps.owns) for name in names}
    lines = [f"flat vector of length {steps.dim}"]
    for slot in steps.slots:
        source = f"support from {owners[slot.name]}" if slot.name in owners else "support from its declared space"
        lines.append(f"  {slot.name}: [{slot.start}:{slot.stop}] {slot.space.title}, {source}")
    lines.append("terms")
    for index in steps.order:
        when = "evaluated once per data" if index in steps.fixed else "evaluated at each point"
        lines.append(f"  {program.factor_names[index]}: {when}")
    if found := accounts(density.model):
        lines += ["marginalised", *(f"  {line}" for line in found)]
    return "\n".join(lines)


def _same_shape(operation: str, name: str, value: Any, old: Any) -> Any:
    if value.shape != jnp.shape(old):
        raise SpecError(
            f"{operation}: shape {value.shape}, but {name} was declared {jnp.shape(old)}. Declare a new model instead."
        )
    cast = value.astype(old.dtype)
    if not np.array_equal(cast, value):
        raise SpecError(
            f"{operation}: the values are {value.dtype}, but {name} was declared {old.dtype}, which cannot hold them."
            " Declare the data as floats."
        )
    return cast


def _is_whole(value: Array) -> bool:
    """Whether an array of floats holds whole numbers; of a traced one nothing is known."""
    return not isinstance(value, Tracer) and bool(jnp.all(value == jnp.round(value)))
