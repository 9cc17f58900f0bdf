r"""The log normalising constant, $\log \int p(x)\, dx$: known, by exact rules, or by quadrature.

What is observed stays fixed, so that for a conditioned joint it is the log evidence. Rules integrate out what they can
(`Model.marginalize`); what is left, at most three dimensions, is integrated numerically.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.quadrature import MOST_DIMENSIONS, Quadrature, integrals
from gmdsl.compiler.without_density import refuse_without_density
from gmdsl.core.errors import SpecError
from gmdsl.exact.discrete_sums import log_sum
from gmdsl.exact.marginal import accounts
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model


@dataclass(frozen=True)
class LogNormalizer:
    """A log normalising constant.

    Attributes:
        log_z: the value.
        error: an estimate of its absolute error; 0 when it is known.
        method: how it came about.
    """

    log_z: float
    error: float
    method: str

    def __float__(self) -> float:
        return self.log_z


def log_normalizer(model: FactorGraph, method: Quadrature | None = None) -> LogNormalizer:
    """The logarithm of the integral of a density over its free variables.

    Args:
        model: a model, or a compiled one. What it observes is held fixed.
        method: settings of the numerical integration of what no rule integrates out.

    Returns:
        The value, its error, and how it came about.

    Raises:
        SpecError: more than three dimensions are left, or the density has no integral; the message names what
            estimates it.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x**2, x=gm.Real())
    >>> found = gm.log_normalizer(bowl)
    >>> round(found.log_z, 10), found.method
    (0.9189385332, 'quadrature over x')
    """
    model = getattr(model, "model", model)  # a compiled density holds its model
    if not isinstance(model, Model):
        raise SpecError(f"log_normalizer(...): a model is needed, not {mistaken(model)}.")
    settings = Quadrature() if method is None else method
    if not isinstance(settings, Quadrature):
        raise SpecError(f"log_normalizer(method={method!r}): settings are needed, such as gm.Quadrature(rtol=1e-8).")
    refuse_without_density("log_normalizer(...)", model)
    if not model.inputs and model.free and not model.observed and model.capabilities().normalized:
        return LogNormalizer(0.0, 0.0, "normalised by construction")
    with jax.enable_x64(True):
        if model.free and all(model.spaces[name].discrete for name in model.free):
            return LogNormalizer(float(log_sum(model)), 1e-12, f"sum over {', '.join(model.free)}")
        left = integrated(model, ())
        if not left.free:
            rules = "; ".join(accounts(left)) or "the rest is normalised"
            return LogNormalizer(float(FlatTarget.of(left).log_density(jnp.zeros(0))), 1e-12, rules)
        dim = FlatTarget.of(left).dim
    if dim > MOST_DIMENSIONS:
        raise SpecError(
            f"log_normalizer(...): {', '.join(left.free)} have {dim} dimensions, and no rule integrates them;"
            f" quadrature stops at {MOST_DIMENSIONS}. Estimate it, gm.log_z(gm.temper(model, reference), gm.AIS(...))."
        )
    found = integrals(left, None, settings)
    rules = "; ".join((*accounts(left), f"quadrature over {', '.join(left.free)}"))
    return LogNormalizer(found.log_total, found.log_total_error, rules)


def integrated(model: Model, keep: tuple[str, ...]) -> Any:
    """The model with every free variable that an exact rule can integrate out gone, some kept.

    Raises:
        SpecError: a discrete variable cannot be summed out.
    """
    discrete = tuple(name for name in model.free if model.spaces[name].discrete and name not in keep)
    if discrete:
        model = model.marginalize(*discrete)
    sizes = {name: math.prod(model.spaces[name].shape) for name in model.free if name not in keep}
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if len(model.random) > 1:
            try:
                model = model.marginalize(name)
            except SpecError:
                continue  # quadrature takes it
    return model
