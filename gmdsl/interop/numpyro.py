"""A NumPyro model as a gmdsl model: one conditional over all its sample sites.

The model function is traced by NumPyro's handlers at each evaluation; its supports, plates, masks
and scales are NumPyro's. Arrays among the arguments are data of the model: new ones of one shape
compile nothing.
"""

import inspect
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Function
from gmdsl.core.pytrees.reads import ARRAYS
from gmdsl.core.user_arrays import as_numbers
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Call, Deterministic, Values
from gmdsl.models.model import Model
from gmdsl.spaces.bijections import from_support, to_support
from gmdsl.spaces.from_constraint import space_of
from gmdsl.spaces.space import Real, Space


class Traced(eqx.Module):
    """A NumPyro model function with its arguments by name.

    Attributes:
        function: the model function.
        arguments: values of the arguments; those that are data of the model are looked up instead.
        data: names of the arguments that are data of the model.
    """

    function: Function
    arguments: dict[str, Any]
    data: tuple[str, ...] = eqx.field(static=True)

    def run(
        self, values: Values, decide: Callable[[Any], Any], key: Array | None = None, *, redraw: bool = False
    ) -> Any:
        """The sites of one execution.

        Args:
            values: where the data are looked up.
            decide: gives the value of a sample site, or None to leave it alone.
            key: for sites that are drawn.
            redraw: whether observed sites are drawn anew.
        """
        from numpyro import handlers
        from numpyro.primitives import Messenger

        class Decide(Messenger):
            def process_message(self, msg: Any) -> None:
                if msg["type"] == "sample" and msg["name"] is not None:
                    value = decide(msg)
                    if value is not None:
                        msg["value"] = value

        function = handlers.uncondition(self.function.function) if redraw else self.function.function
        arguments = {**self.arguments, **{name: values[name] for name in self.data}}
        seed = jax.random.key(0) if key is None else key
        with handlers.block(), handlers.trace() as sites, Decide(lambda: None), handlers.seed(rng_seed=seed):
            bound = inspect.BoundArguments(inspect.signature(self.function.function), OrderedDict(arguments))
            function(*bound.args, **bound.kwargs)
        return sites


class NumPyroProgram(Conditional):
    """All sample sites of a NumPyro model as one factor.

    Attributes:
        traced: the model function and its arguments.
        sites: pairs (site, variable), in the order of execution.
        label: the name of the model function.
        proper: False when the model holds `numpyro.factor` statements.
    """

    traced: Traced
    sites: tuple[tuple[str, str], ...] = eqx.field(static=True)
    label: str = eqx.field(static=True)
    proper: bool = eqx.field(static=True, default=True)

    @property
    def name(self) -> str:
        return f"{self.label}({', '.join(self.children)})"

    @property
    def parents(self) -> tuple[str, ...]:
        return self.traced.data

    @property
    def children(self) -> tuple[str, ...]:
        return tuple(variable for _, variable in self.sites)

    @property
    def normalized(self) -> bool:
        return self.proper

    def log_density(self, values: Values) -> Float[Array, ""]:
        return self.decode(values, {})[1]

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        if shape:
            keys = jax.random.split(key, shape[0])
            return jax.vmap(lambda k: self.draw(k, values, shape[1:]))(keys)
        found = self.traced.run(values, self._known(values), key, redraw=True)
        return {variable: found[site]["value"] for site, variable in self.sites}

    def pointwise(self, values: Values) -> dict[str, Array]:
        found = self.traced.run(values, self._known(values))
        return {v: _log_prob(found[site], total=False) for site, v in self.sites}

    def decode(self, values: Values, free: Values) -> tuple[dict[str, Any], Float[Array, ""]]:
        names, made, terms = dict(self.sites), {}, []

        def decide(msg: Any) -> Any:
            variable = names.get(msg["name"], "")
            if variable in free:
                made[variable], jacobian = to_support(msg["fn"].support, free[variable])
                terms.extend([] if jacobian is None else [jacobian])
                return made[variable]
            return values.get(variable)

        found = self.traced.run(values, decide)
        terms += [_log_prob(site, total=True) for site in found.values() if site["type"] == "sample"]
        return made, sum(terms, jnp.zeros(()))

    def encode(self, values: Values, children: tuple[str, ...]) -> dict[str, Any]:
        found = self.traced.run(values, self._known(values))
        return {v: from_support(found[s]["fn"].support, values[v]) for s, v in self.sites if v in children}

    def rename(self, names: Mapping[str, str]) -> "NumPyroProgram":
        sites = tuple((site, names.get(variable, variable)) for site, variable in self.sites)
        if set(names) & set(self.traced.data):
            taken = sorted(set(names) & set(self.traced.data))[0]
            raise SpecError(f"rename({taken}=...): {taken} is an argument of {self.label}. Rename it there.")
        return NumPyroProgram(self.traced, sites, self.label, self.proper)

    def _known(self, values: Values) -> Callable[[Any], Any]:
        names = dict(self.sites)
        return lambda msg: values.get(names.get(msg["name"]))


class _Site(eqx.Module):
    """The value of a deterministic site, given the data and the sample sites it may depend on."""

    program: NumPyroProgram
    site: str = eqx.field(static=True)
    reads: tuple[str, ...] = eqx.field(static=True)

    def __call__(self, *values: Any) -> Any:
        known = dict(zip(self.reads, values, strict=True))
        return self.program.traced.run(known, self.program._known(known))[self.site]["value"]


def from_numpyro_model(model: Callable[..., Any], *args: Any, **kwargs: Any) -> Model:
    """A NumPyro model function as a gmdsl model, observed where it observes.

    Args:
        model: the function, with `numpyro.sample` statements.
        args: its arguments; arrays become data of the model, by the name of the argument.
        kwargs: its keyword arguments.

    Raises:
        SpecError: the model has no sample site, or `numpyro.param` sites (use `gm.param`).

    >>> import numpyro, numpyro.distributions as dist, gmdsl as gm
    >>> def coin(y):
    ...     p = numpyro.sample("p", dist.Beta(2.0, 2.0))
    ...     numpyro.sample("y", dist.Bernoulli(p).expand([3]), obs=y)
    >>> gm.from_numpyro_model(coin, np.array([1, 0, 1])).free
    ('p',)
    """
    _bind_submodules()
    label = getattr(model, "__name__", "model")
    arguments = dict(inspect.signature(model).bind(*args, **kwargs).arguments)
    function = Function(model)
    found = Traced(function, arguments, ()).run({}, lambda msg: None)
    named = _named_sites(label, found)
    data = {
        name: as_numbers(f"{label}({name}=...)", value)
        for name, value in arguments.items()
        if isinstance(value, ARRAYS) and name not in found
    }
    traced = Traced(function, {n: v for n, v in arguments.items() if n not in data}, tuple(data))
    proper = len(named) == sum(site["type"] == "sample" for site in found.values())
    program = NumPyroProgram(traced, tuple((n, n) for n in named), label, proper)
    spaces: dict[str, Space] = {n: _space(s) for n, s in named.items()}
    factors: list[Any] = [program]
    reads = (*data, *(n for n, s in named.items() if not s["is_observed"]))
    for name, site in found.items():
        if site["type"] == "deterministic":
            spaces[name] = Real(*np.shape(site["value"]))
            factors.append(Deterministic(name, Call(_Site(program, name, reads), tuple(("", n) for n in reads))))
    observed = {n: as_numbers(f"{label}: {n}", s["value"]) for n, s in named.items() if s["is_observed"]}
    return Model(factors=tuple(factors), declared=tuple(spaces.items()), observed=observed, data=data)


def _bind_submodules() -> None:
    """Binds NumPyro's loaded submodules to their packages.

    When ArviZ is imported first, it leaves a lazy `numpyro` behind; importing `numpyro.distributions`
    through it loads the submodules without binding them, and `numpyro.factor` then fails.
    """
    for name, module in list(sys.modules.items()):
        package, _, child = name.rpartition(".")
        if name.startswith("numpyro.") and package in sys.modules and not hasattr(sys.modules[package], child):
            setattr(sys.modules[package], child, module)


def _named_sites(label: str, found: dict[str, Any]) -> dict[str, Any]:
    """The sample sites that are variables; `numpyro.factor` statements are not."""
    params = [name for name, site in found.items() if site["type"] == "param"]
    if params:
        raise SpecError(f"from_numpyro_model({label}): {params[0]} is a numpyro.param site. Declare it by gm.param.")
    named = {n: s for n, s in found.items() if s["type"] == "sample" and type(s["fn"]).__name__ != "Unit"}
    if not named:
        raise SpecError(f"from_numpyro_model({label}): no sample site was found. Add numpyro.sample statements.")
    return named


def _space(site: Any) -> Space:
    return space_of(site["fn"].support, tuple(np.shape(site["value"])))


def _log_prob(site: Any, total: bool) -> Any:
    value = site["fn"].log_prob(site["value"])
    scale = site.get("scale")
    value = value if scale is None else scale * value
    return jnp.sum(value) if total else value
