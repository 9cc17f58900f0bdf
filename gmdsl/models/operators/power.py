"""The power of a model: every term to that power."""

import dataclasses
import math
import numbers
from typing import Any

from gmdsl.core.errors import SpecError
from gmdsl.graph.factor import Deterministic, Factor
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.power import Power


def power[M: FactorGraph](model: M, exponent: Any) -> M:
    """The model with every term to a power.

    Raises:
        SpecError: the power is not a finite number, or a support depends on other variables.
    """
    if not isinstance(exponent, numbers.Real) or isinstance(exponent, bool) or not math.isfinite(exponent):
        raise SpecError(f"model ** {exponent!r}: the power of a density is a finite number, such as 2.0.")
    if float(exponent) == 1.0:
        return model
    for name in model.free:
        if model.spaces[name].dynamic:
            raise SpecError(
                f"model ** {exponent}: the support of {name} depends on other variables, and a power has no parents."
                f" Give {name} a fixed support."
            )
    factors = tuple(_raise_factor(factor, float(exponent)) for factor in model.factors)
    return dataclasses.replace(model, factors=factors)


def _raise_factor(factor: Factor, exponent: float) -> Factor:
    if isinstance(factor, Deterministic):
        return factor
    if isinstance(factor, Power):
        whole = factor.exponent * exponent
        return factor.factor if whole == 1.0 else Power(factor.factor, whole)
    return Power(factor, exponent)
