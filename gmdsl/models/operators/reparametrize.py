r"""Other coordinates for the same model: a variable becomes a function of a standard one.

A chain moves badly where the scale of a variable is itself unknown. Written as $\theta = \mu + \tau z$ with a
standard $z$, the same law has coordinates that do not depend on $\tau$.

Reference:
    Papaspiliopoulos, Roberts, Skoeld, *A general framework for the parametrization of hierarchical models*, 2007;
    Betancourt, Girolami, *Hamiltonian Monte Carlo for hierarchical models*, 2013, arXiv:1312.0906.
"""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.pytrees.function import Constant
from gmdsl.graph.factor import Call, Deterministic
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.models.probe.shapes import probe_node
from gmdsl.spaces.space import Space

LOCATION_SCALE = ("Normal", "Laplace", "Cauchy", "Logistic", "Gumbel")


class Reparametrization(eqx.Module):
    """How one variable becomes a function of another."""

    @abc.abstractmethod
    def split(self, factor: Distributed, space: Space, raw: str, known: Mapping[str, Any]) -> tuple[Any, Any]:
        """The factor of the standard variable `raw`, and the deterministic that makes the old one from it.

        Args:
            factor: the conditional of the variable.
            space: where it lives.
            raw: the name of the standard variable.
            known: shapes or values of everything the factor may read.
        """


class NonCentred(Reparametrization):
    r"""$\theta = \text{loc} + \text{scale} \cdot z$ with a standard z, for location-scale distributions.

    The standard variable is called `theta_raw`; theta stays in the results as a computed variable.
    """

    def split(self, factor: Distributed, space: Space, raw: str, known: Mapping[str, Any]) -> tuple[Any, Any]:
        import jax
        import numpyro.distributions as dist

        kinds: list[str] = []
        jax.eval_shape(lambda known: kinds.append(_kind(factor.distribution(known))) or 0, dict(known))
        if kinds[0] not in LOCATION_SCALE:
            raise SpecError(
                f"reparametrize({factor.child}=NonCentred()): {factor.child} is {kinds[0]}; NonCentred moves and scales"
                f" {', '.join(LOCATION_SCALE)}. Leave it centred."
            )
        standard = getattr(dist, kinds[0])(0.0, 1.0).expand(space.shape)
        parents = factor.parents
        bindings = (*(("", name) for name in parents), ("", raw))
        shifted = Deterministic(factor.child, Call(_Shifted(factor.call, parents), bindings))
        return Distributed(raw, Call(Constant(standard), ())), shifted


class _Shifted(eqx.Module):
    """Location plus scale times the standard variable; the parents come first, by position."""

    call: Call
    names: tuple[str, ...] = eqx.field(static=True)

    def __call__(self, *values: Any) -> Any:
        base = _base(self.call(dict(zip(self.names, values[:-1], strict=True))))
        return base.loc + base.scale * jnp.asarray(values[-1])


def reparametrize[M: FactorGraph](model: M, changes: Mapping[str, Reparametrization]) -> M:
    """The model in other coordinates; the law of every variable is the same.

    Raises:
        SpecError: an unknown, observed or undirected variable, or a distribution without such coordinates.
    """
    for name, change in changes.items():
        operation = f"reparametrize({name}=...)"
        if name not in model.spaces:
            raise unknown_name(operation, name, model.free)
        if not isinstance(change, Reparametrization):
            given = change.__name__ if isinstance(change, type) else type(change).__name__
            raise SpecError(f"{operation}: gm.NonCentred() is needed, not {given}.")
        makers = [factor for factor in model.factors if name in factor.children]
        if name not in model.free or len(makers) != 1 or not isinstance(makers[0], Distributed):
            role = "observed" if name in model.observed else "not drawn from one distribution"
            raise SpecError(f"{operation}: {name} is {role}, so it has no other coordinates. Change a free variable.")
        raw = f"{name}_raw"
        if raw in {*model.spaces, *model.data, *model.params, *dict(model.constants), *dict(model.inputs)}:
            raise SpecError(f"{operation}: the name {raw} is taken. Rename that one first.")
        model = _change(model, makers[0], change, raw)
    return model


def _change[M: FactorGraph](model: M, maker: Distributed, change: Reparametrization, raw: str) -> M:
    from gmdsl.graph.factor_graph import known as fixed
    from gmdsl.spaces.space import abstract

    name = maker.child
    known = {n: abstract(space) for n, space in (*model.declared, *model.inputs)} | dict(fixed(model))
    known = {n: known[n] for n in maker.parents}
    standard, shifted = change.split(maker, model.spaces[name], raw, known)
    space, _, _ = probe_node(raw, standard.call, {})
    factors = []
    for factor in model.factors:
        factors += [standard, shifted] if factor is maker else [factor]
    dims = dict(model.dims)
    if name in dims:
        dims[raw] = dims[name]
    return dataclasses.replace(
        model,
        factors=tuple(factors),
        declared=tuple(pair for old in model.declared for pair in ([(raw, space), old] if old[0] == name else [old])),
        dims=tuple(dims.items()),
    )


def _base(distribution: Any) -> Any:
    """The distribution inside the wrappers that only shape it."""
    while hasattr(distribution, "base_dist"):
        if type(distribution).__name__ not in ("Independent", "ExpandedDistribution"):
            break
        distribution = distribution.base_dist
    return distribution


def _kind(distribution: Any) -> str:
    return type(_base(distribution)).__name__
