"""A NumPyro model as a gmdsl model: one conditional over all its sample sites.

The model function is traced by NumPyro's handlers at each evaluation; its supports, plates, masks
and scales are NumPyro's. Arrays among the arguments are data: new ones of one shape compile nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.conditional import Conditional, from_support, to_support
from gmdsl.core.errors import SpecError
from gmdsl.core.factor import Call, Deterministic, Values
from gmdsl.core.function import Function
from gmdsl.core.model import Model
from gmdsl.core.space import Real, Space
from gmdsl.core.support import space_of


class Traced(eqx.Module):
    """A NumPyro model function with its arguments."""

    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self, decide: Callable[[Any], Any], key: Array | None = None) -> dict[str, Any]:
        """The sites of one execution; `decide` gives the value of a sample site, or None."""
        from numpyro import handlers
        from numpyro.primitives import Messenger

        class Decide(Messenger):
            def process_message(self, msg: Any) -> None:
                if msg["type"] == "sample" and msg["name"] is not None:
                    value = decide(msg)
                    if value is not None:
                        msg["value"] = value

        seed = jax.random.key(0) if key is None else key
        with handlers.block(), handlers.trace() as sites, Decide(lambda: None), handlers.seed(rng_seed=seed):
            self.function(*self.args, **self.kwargs)
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
        return ()

    @property
    def children(self) -> tuple[str, ...]:
        return tuple(variable for _, variable in self.sites)

    @property
    def normalized(self) -> bool:
        return self.proper

    @property
    def drawable(self) -> bool:
        return self.proper

    def log_density(self, values: Values) -> Float[Array, ""]:
        return self.decode(values, {})[1]

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        if shape:
            keys = jax.random.split(key, shape[0])
            return jax.vmap(lambda k: self.draw(k, values, shape[1:]))(keys)
        names = dict(self.sites)

        def decide(msg: Any) -> Any:
            if msg["name"] in names and names[msg["name"]] in values:
                return values[names[msg["name"]]]
            return msg["fn"](rng_key=msg["kwargs"]["rng_key"]) if msg["is_observed"] and msg["name"] in names else None

        found = _Resampled(self.traced).run(decide, key)
        return {variable: found[site]["value"] for site, variable in self.sites}

    def pointwise(self, values: Values) -> dict[str, Array]:
        found = self.traced.run(self._known(values))
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

        found = self.traced.run(decide)
        terms += [_log_prob(site, total=True) for site in found.values() if site["type"] == "sample"]
        return made, sum(terms, jnp.zeros(()))

    def encode(self, values: Values, children: tuple[str, ...]) -> dict[str, Any]:
        found = self.traced.run(self._known(values))
        return {v: from_support(found[s]["fn"].support, values[v]) for s, v in self.sites if v in children}

    def rename(self, names: Mapping[str, str]) -> "NumPyroProgram":
        sites = tuple((site, names.get(variable, variable)) for site, variable in self.sites)
        return NumPyroProgram(self.traced, sites, self.label, self.proper)

    def _known(self, values: Values) -> Callable[[Any], Any]:
        names = dict(self.sites)
        return lambda msg: values.get(names.get(msg["name"]))


class _Resampled:
    """A traced model whose observed sites are drawn anew."""

    def __init__(self, traced: Traced):
        self.traced = traced

    def run(self, decide: Callable[[Any], Any], key: Array) -> dict[str, Any]:
        from numpyro import handlers

        function = Function.__new__(Function)
        function.function = handlers.uncondition(self.traced.function.function)
        function.key, function._pins = ("uncondition", self.traced.function.key), []
        return Traced(function, self.traced.args, self.traced.kwargs).run(decide, key)


class _Site(eqx.Module):
    """The value of a deterministic site, given the sample sites in order."""

    program: NumPyroProgram
    site: str = eqx.field(static=True)

    def __call__(self, *values: Any) -> Any:
        known = dict(zip(self.program.children, values, strict=True))
        return self.program.traced.run(self.program._known(known))[self.site]["value"]


def from_numpyro_model(model: Callable[..., Any], *args: Any, **kwargs: Any) -> Model:
    """A NumPyro model function as a gmdsl model, observed where it observes.

    Args:
        model: the function, with `numpyro.sample` statements.
        args: its arguments; arrays become traced data.
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
    label = getattr(model, "__name__", "model")
    copied = jax.tree.map(lambda leaf: np.array(leaf) if isinstance(leaf, np.ndarray) else leaf, (args, kwargs))
    traced = Traced(Function(model), *copied)
    found = traced.run(lambda msg: None)
    params = [name for name, site in found.items() if site["type"] == "param"]
    if params:
        raise SpecError(f"from_numpyro_model({label}): {params[0]} is a numpyro.param site. Declare it by gm.param.")
    samples = {n: s for n, s in found.items() if s["type"] == "sample"}
    named = {n: s for n, s in samples.items() if type(s["fn"]).__name__ != "Unit"}
    if not named:
        raise SpecError(f"from_numpyro_model({label}): no sample site was found. Add numpyro.sample statements.")
    program = NumPyroProgram(traced, tuple((n, n) for n in named), label, proper=len(named) == len(samples))
    spaces: dict[str, Space] = {n: _space(s) for n, s in named.items()}
    factors: list[Any] = [program]
    bindings = tuple(("", n) for n in named)
    for name, site in found.items():
        if site["type"] == "deterministic":
            spaces[name] = Real(*np.shape(site["value"]))
            factors.append(Deterministic(name, Call(_Site(program, name), bindings)))
    observed = {n: np.asarray(s["value"]) for n, s in named.items() if s["is_observed"]}
    return Model(factors=tuple(factors), declared=tuple(spaces.items()), observed=observed)


def _space(site: Any) -> Space:
    return space_of(site["fn"].support, tuple(np.shape(site["value"])))


def _log_prob(site: Any, total: bool) -> Any:
    value = site["fn"].log_prob(site["value"])
    scale = site.get("scale")
    value = value if scale is None else scale * value
    return jnp.sum(value) if total else value
