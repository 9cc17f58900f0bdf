"""What a NumPyro model function does: its sites, seen in two executions with other random values."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.interop.numpyro_masks import left_out
from gmdsl.interop.numpyro_trace import TracedModel
from gmdsl.spaces.from_constraint import space_of
from gmdsl.spaces.space import Space

RADIUS = 2.0  # of the unconstrained values that are tried, as NumPyro's own starts


@dataclass(frozen=True)
class Sites:
    """The sites of a model function.

    Attributes:
        label: the name of the function.
        traced: the function with its arguments.
        found: the sites by name, of the first execution.
        other: those of the second one.
    """

    label: str
    traced: TracedModel
    found: dict[str, Any]
    other: dict[str, Any]

    @classmethod
    def of(cls, label: str, traced: TracedModel) -> Self:
        """The sites of a function.

        Raises:
            SpecError: no sample site, parameters, a plate of subsamples, sites that come and go.
        """
        first, second = (traced.run({}, uniform_value, jax.random.key(seed)) for seed in (0, 1))
        sites = cls(label, traced, first, second)
        sites._refuse()
        return sites

    def _refuse(self) -> None:
        where = f"from_numpyro_model({self.label})"
        of_kind = lambda kind: [name for name, site in self.found.items() if site["type"] == kind]  # noqa: E731
        if params := of_kind("param"):
            raise SpecError(f"{where}: {params[0]} is a numpyro.param site. Declare it by gm.param.")
        for plate in of_kind("plate"):
            size, part = self.found[plate]["args"][:2]
            if part is not None and part != size:
                raise SpecError(
                    f"{where}: the plate {plate} takes {part} of {size} rows at random (subsample_size), so one fixed"
                    f" part would be used. Leave subsample_size out, and sample by gm.SGLD(..., batch_size={part})."
                )
        shapes = lambda found: {name: np.shape(site["value"]) for name, site in found.items()}  # noqa: E731
        if shapes(self.found) != shapes(self.other):
            differ = sorted(set(shapes(self.found).items()) ^ set(shapes(self.other).items()))[0][0]
            raise SpecError(
                f"{where}: the site {differ} is there, or has its shape, only for some random values. A model has the"
                " same variables everywhere: use jnp.where, or numpyro.contrib.control_flow."
            )
        if not self.variables:
            raise SpecError(f"{where}: no sample site was found. Add numpyro.sample statements.")

    @functools.cached_property
    def variables(self) -> tuple[str, ...]:
        """Sample sites that are variables: no `numpyro.factor` statements, no observed values that are computed."""
        return tuple(name for name in _samples(self.found) if name not in self.computed)

    @property
    def named(self) -> tuple[str, ...]:
        """Names of the sites that hold a value."""
        return tuple(name for name, site in self.found.items() if site["type"] in ("sample", "deterministic"))

    @functools.cached_property
    def computed(self) -> tuple[str, ...]:
        """Observed sites whose value depends on latent ones, as that of a residual does."""
        observed = [name for name in _samples(self.found) if self.found[name]["is_observed"]]
        return tuple(name for name in observed if not same(self.found[name]["value"], self.other[name]["value"]))

    @property
    def free(self) -> tuple[str, ...]:
        return tuple(name for name in self.variables if not self.found[name]["is_observed"])

    @property
    def observed(self) -> dict[str, Any]:
        """Observed values by site."""
        return {n: self.found[n]["value"] for n in self.variables if self.found[n]["is_observed"]}

    @property
    def proper(self) -> bool:
        """Whether every term belongs to a variable and integrates to one."""
        terms = [site for site in self.found.values() if site["type"] == "sample"]
        return len(terms) == len(self.variables) and not any(is_improper(site["fn"]) for site in terms)

    @property
    def masked(self) -> bool:
        """Whether a free site has a mask, of one value or of many."""
        return any(left_out(self.found[name]) is not None for name in self.free)

    def points(self) -> list[dict[str, Any]]:
        """Values of the free sites, two of each."""
        return [{name: run[name]["value"] for name in self.free} for run in (self.found, self.other)]

    def space(self, name: str) -> Space:
        """The space of a site; bounds that depend on other sites move."""
        support, other = self.found[name]["fn"].support, self.other[name]["fn"].support
        shape = tuple(np.shape(self.found[name]["value"]))
        moving = not all(map(same, jax.tree.leaves(support), jax.tree.leaves(other)))
        return space_of(support, shape, moving=moving)

    def dims(self, taken: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Names of the dimensions of each site, from its plates; names that are taken already are left out."""
        named = []
        for name, site in self.found.items():
            frames = [frame for frame in site.get("cond_indep_stack", ()) if frame.name not in taken]
            if frames and (name in self.variables or site["type"] == "deterministic"):
                rank = np.ndim(site["value"]) - (site["fn"].event_dim if site["type"] == "sample" else 0)
                labels = [f"{name}_dim_{axis}" for axis in range(rank)]
                for frame in frames:
                    if rank + frame.dim >= 0 and np.shape(site["value"])[rank + frame.dim] == frame.size:
                        labels[rank + frame.dim] = frame.name
                named.append((name, tuple(labels)))
        return tuple(named)


def uniform_value(message: Any) -> Any:
    """A value of a continuous site that is moderate on the unconstrained scale; other sites are left to NumPyro.

    Raises:
        SpecError: the site has a value that is no observation.
    """
    from numpyro.distributions import Delta, biject_to

    if message["type"] != "sample" or message["is_observed"] or message["fn"].support.is_discrete:
        return None
    if isinstance(message["fn"], Delta):
        return None
    if message["value"] is not None:
        raise SpecError(
            f"from_numpyro_model(...): {message['name']} is given a value by numpyro.handlers.substitute, which"
            " NumPyro's samplers replace by theirs. To hold it there, use numpyro.handlers.condition(model, data={"
            f"{message['name']!r}: ...}}); to leave it free, pass the model itself, and the value to"
            " gm.sample(init=...)."
        )
    transform = biject_to(message["fn"].support)
    shape = (*message["kwargs"].get("sample_shape", ()), *message["fn"].shape())
    key = message["kwargs"]["rng_key"]
    return transform(jax.random.uniform(key, transform.inverse_shape(shape), minval=-RADIUS, maxval=RADIUS))


def same(first: Any, second: Any) -> bool:
    """Whether two values are equal in shape and content."""
    return np.shape(first) == np.shape(second) and bool(
        jnp.array_equal(first, second, equal_nan=jnp.issubdtype(jnp.result_type(first), jnp.floating))
    )


def is_improper(distribution: Any) -> bool:
    """Whether a distribution, or the one inside its wrappers, is `ImproperUniform`."""
    from numpyro.distributions import ImproperUniform

    while not isinstance(distribution, ImproperUniform):
        distribution = getattr(distribution, "base_dist", None)
        if distribution is None:
            return False
    return True


def _samples(found: dict[str, Any]) -> list[str]:
    return [n for n, site in found.items() if site["type"] == "sample" and type(site["fn"]).__name__ != "Unit"]
