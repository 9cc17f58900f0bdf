"""All sample sites of a NumPyro model as one factor."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.jaxprs.dataflow import CONSTANT, output_states
from gmdsl.distributions.drawn import whole
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Values
from gmdsl.interop.numpyro_fixed import why_fixed
from gmdsl.interop.numpyro_masks import left_out
from gmdsl.interop.numpyro_sites import Sites, is_improper
from gmdsl.interop.numpyro_trace import TracedModel, is_in_control_flow, log_prob, value_of
from gmdsl.spaces.bijections import from_support, to_support
from gmdsl.spaces.space import Space


class NumPyroProgram(Conditional):
    """All sample sites of a NumPyro model as one factor.

    Attributes:
        traced: the model function and its arguments.
        sites: pairs (site, variable), in the order of execution.
        label: the name of the model function.
        proper: whether every term belongs to a variable and integrates to one.
        redrawn: whether observed sites can be drawn anew: not where the function reads the observed values elsewhere.
        frozen: pairs (argument, variable): observed values that the function reads as a NumPy array; other ones have
            no density.
        may_mask: whether a free site is masked, so that some elements may have no term.
        guarded: parameters that values may put outside of their constraint, where the density is zero.
    """

    traced: TracedModel
    sites: tuple[tuple[str, str], ...] = eqx.field(static=True)
    label: str = eqx.field(static=True)
    proper: bool = eqx.field(static=True, default=True)
    redrawn: bool = eqx.field(static=True, default=True)
    frozen: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())
    may_mask: bool = eqx.field(static=True, default=False)
    guarded: tuple[str, ...] = eqx.field(static=True, default=())

    @property
    def name(self) -> str:
        return f"{self.label}({', '.join(self.children)})"

    @property
    def parents(self) -> tuple[str, ...]:
        return tuple(variable for _, variable in self.traced.read if variable not in self.children)

    @property
    def children(self) -> tuple[str, ...]:
        return tuple(variable for _, variable in self.sites)

    @property
    def normalized(self) -> bool:
        return self.proper and not self.may_mask

    @property
    def drawable(self) -> bool:
        return self.proper and self.redrawn

    @property
    def limited(self) -> tuple[str, ...]:
        return self.guarded

    @property
    def stepwise(self) -> bool:
        return True

    @property
    def maskable(self) -> bool:
        return self.may_mask

    def log_density(self, values: Values) -> Float[Array, ""]:
        return self.decode(values, {})[1]

    def parents_of(self, child: str, values: Values) -> set[str]:
        site = next(site for site, variable in self.sites if variable == child)

        def term(*given: Any) -> Any:
            point = dict(zip(values, given, strict=True))
            return log_prob(self.traced.run(point, self.known(point))[site], total=True)

        states = [frozenset({name}) if name in self.parents else CONSTANT for name in values]
        found = output_states(term, [*values.values()], states, _union)
        return set() if found == CONSTANT else set(found)

    def batch_rank(self, child: str, values: Values) -> int:
        """How many axes of a variable number independent elements; none where it is made step by step."""
        site = next(site for site, variable in self.sites if variable == child)
        found: list[int] = []

        def run(point: Values) -> None:
            made = self.traced.run(point, self.known(point))[site]
            found.append(0 if is_in_control_flow(made) else np.ndim(made["value"]) - made["fn"].event_dim)

        jax.eval_shape(run, dict(values))
        return found[0]

    def draw(self, key: Array, values: Values, shape: tuple[int, ...] = ()) -> dict[str, Any]:
        if shape:
            keys = jax.random.split(key, shape[0])
            return jax.vmap(lambda k: self.draw(k, values, shape[1:]))(keys)
        found = self.traced.run(values, self.known(values), key, redraw=True)
        return {variable: whole(found[site]["fn"], found[site]["value"]) for site, variable in self.sites}

    def pointwise(self, values: Values) -> dict[str, Array]:
        found = self.traced.run(values, self.known(values))
        return {v: log_prob(found[site], total=False, guarded=self.guarded) for site, v in self.sites}

    def why_fixed(self, name: str) -> str:
        return why_fixed(self.label, self.traced.arguments, name)

    def masked(self, values: Values) -> dict[str, Any]:
        found = self.traced.run(values, self.known(values)) if self.may_mask else {}
        return {v: left_out(found[s]) for s, v in self.sites if s in found and left_out(found[s]) is not None}

    def decode(self, values: Values, free: Values) -> tuple[dict[str, Any], Float[Array, ""]]:
        names, made = dict(self.sites), {}
        self._refuse_free_arguments(free)

        def decide(message: Any) -> Any:
            variable = names.get(message["name"], "")
            if variable not in free:
                return value_of(message, values, variable)
            value, jacobian = to_support(message["fn"].support, value_of(message, free, variable))
            if "_scan_current_index" not in message["infer"]:
                made[variable] = value, jacobian
            return value

        found = self.traced.run(values, decide)
        for site, variable in self.sites:
            if variable in free and is_in_control_flow(found[site]):
                made[variable] = to_support(found[site]["fn"].support, free[variable])
        terms = [jacobian for _, jacobian in made.values() if jacobian is not None]
        found_sites = [site for site in found.values() if site["type"] == "sample"]
        terms += [log_prob(site, total=True, guarded=self.guarded) for site in found_sites]
        total = sum(terms, jnp.zeros(()))
        return {variable: value for variable, (value, _) in made.items()}, self._thawed(values, total)

    def encode(self, values: Values, children: tuple[str, ...]) -> dict[str, Any]:
        found = self.traced.run(values, self.known(values))
        return {v: from_support(found[s]["fn"].support, values[v]) for s, v in self.sites if v in children}

    def rename(self, names: Mapping[str, str]) -> "NumPyroProgram":
        sites = tuple((site, names.get(variable, variable)) for site, variable in self.sites)
        taken = sorted(set(names) & set(self.parents))
        if taken:
            raise SpecError(f"rename({taken[0]}=...): {taken[0]} is an argument of {self.label}. Rename it there.")
        pairs = lambda found: tuple((argument, names.get(v, v)) for argument, v in found)  # noqa: E731
        traced = TracedModel(self.traced.function, self.traced.arguments, pairs(self.traced.read))
        return dataclasses.replace(self, traced=traced, sites=sites, frozen=pairs(self.frozen))

    def resized(self, values: Values) -> "tuple[NumPyroProgram, dict[str, Space]]":
        """The program for data of other sizes, with the spaces of its variables.

        What the function observes is None where no value is given, as in NumPyro's own predictions.

        Args:
            values: new values of the data, and of observed variables that stay observed.

        Raises:
            SpecError: the function does not run, or has other sites then.
        """
        traced = self.traced.observing(values)
        bound = {a: values[v] for a, v in traced.read if v in values}
        try:
            sites = Sites.of(self.label, TracedModel(traced.function, {**traced.arguments, **bound}, ()))
        except SpecError:
            raise
        except Exception as error:  # whatever the user's function raises for the new sizes
            left = [a for a, v in traced.read if v not in values]
            empty = f" where {', '.join(left)} is None" if left else ""
            raise SpecError(
                f"{self.label}: it fails for the new data{empty} ({str(error).splitlines()[0]}). Take the sizes from"
                " the arguments that are given, not from the observed ones, as for NumPyro's Predictive."
            ) from error
        if set(sites.variables) != {site for site, _ in self.sites}:
            raise SpecError(f"{self.label}: it has other sites for the new data. Declare the model with them.")
        spaces = {variable: sites.space(site) for site, variable in self.sites}
        return dataclasses.replace(self, traced=traced), spaces

    def known(self, values: Values) -> Callable[[Any], Any]:
        """Gives each site the value of its variable."""
        names = dict(self.sites)
        return lambda message: value_of(message, values, names.get(message["name"], ""))

    def _refuse_free_arguments(self, free: Values) -> None:
        """Observed values that the function reads elsewhere, too, cannot be free."""
        tied = [variable for _, variable in (*self.traced.read, *self.frozen) if variable in free]
        if tied and not self.redrawn:
            raise SpecError(
                f"{self.label}: {tied[0]} cannot be free, because its observed values are read in other places, too."
                " Observe it, or declare the model with None for it."
            )

    def _thawed(self, values: Values, total: Any) -> Any:
        """NaN where observed values are not those that the function has read."""
        for argument, variable in self.frozen:
            if variable in values:
                same = jnp.array_equal(values[variable], jnp.asarray(self.traced.arguments[argument]()), equal_nan=True)
                total = jnp.where(same, total, jnp.nan)
        return total


def _union(_: Any, operands: list[Any]) -> Any:
    """The inputs that the results of an operation depend on: those of all operands."""
    return frozenset().union(*(names for names in operands if names != CONSTANT))


class DeterministicSite(eqx.Module):
    """The value of a deterministic site, given the data and the sample sites it may depend on."""

    program: NumPyroProgram
    site: str = eqx.field(static=True)
    reads: tuple[str, ...] = eqx.field(static=True)

    @property
    def needed(self) -> tuple[str, ...]:
        """What is read because the function cannot be called without it."""
        return self.program.parents

    def __call__(self, *values: Any) -> Any:
        known = dict(zip(self.reads, values, strict=True))
        return self.program.traced.run(known, self.program.known(known))[self.site]["value"]

    def resized(self, values: Values) -> "DeterministicSite":
        """The site for data of other sizes."""
        return DeterministicSite(self.program.resized(values)[0], self.site, self.reads)


def read_alone(site: DeterministicSite, point: Values) -> DeterministicSite:
    """The site with those of its inputs alone that its value depends on; others are drawn, and change nothing.

    Args:
        site: with all inputs that there may be.
        point: any values of them.
    """
    states = [frozenset({name}) for name in site.reads]
    found = output_states(site, [point[name] for name in site.reads], states, _union)
    used = set() if found == CONSTANT else set(found)
    known = {name: point[name] for name in site.reads}
    sites = site.program.traced.run(known, site.program.known(known))
    improper = {v for s, v in site.program.sites if is_improper(sites[s]["fn"])}
    kept = used | improper | set(site.program.parents)  # the function cannot be called without its data
    return DeterministicSite(site.program, site.site, tuple(n for n in site.reads if n in kept))
