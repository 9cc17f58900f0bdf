r"""Integrals over at most three continuous dimensions, $\int f(x)\, p(x)\, dx$, with an error that covers.

They are taken over the unconstrained coordinates, Jacobian included, in double precision and in the variable u of
`frame.py`, so that heavy tails end: by adaptive panels in one dimension (`panels.py`), on grids in two and three
(`grids.py`). The error holds what two rules differ by, what points see that no rule has used, what the tail leaves out
beyond the last place that can be evaluated, and rounding. What does not fall far out has no integral, and is refused.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.extend
import numpy as np

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.frame import find_region
from gmdsl.compiler.integrals.grids import integrate_box
from gmdsl.compiler.integrals.integrands import Integrands, NoIntegralError
from gmdsl.compiler.integrals.panels import integrate_line
from gmdsl.core.errors import SpecError, check_positive
from gmdsl.core.pytrees.function import Function
from gmdsl.graph.factor_graph import FactorGraph

MOST_DIMENSIONS = 3
ROUNDING = 1e-14  # no integral is known better
UNSEEN = 3.0  # over the number of points: the probability of what none of them sees, at most, in 95 %
WORST = 0.01  # relative error beyond which an integral has no value


class Quadrature(eqx.Module):
    """Settings of numerical integration.

    Attributes:
        rtol: relative accuracy at which the grid is no longer refined.
    """

    rtol: float = 1e-10

    def __check_init__(self) -> None:
        check_positive(self, "rtol")


class Integrals(NamedTuple):
    r"""$\log \int p$ and $\int f p / \int p$, with their errors, and words where the latter may not cover."""

    log_total: float
    log_total_error: float
    mean: np.ndarray
    mean_error: np.ndarray
    doubt: str = ""


def integrals(model: FactorGraph, function: Function | None, settings: Quadrature) -> Integrals:
    """The integral of a density, and the mean of a function under it.

    Args:
        model: its free variables are continuous, with one to three unconstrained dimensions together.
        function: maps the dict of all named values at one point to numbers; None for the integral alone.
        settings: accuracy.

    Raises:
        NoIntegralError: the integral, or the mean, does not seem to exist.
        SpecError: too many dimensions, no mass found, or grids that do not agree.
    """
    names = ", ".join(model.free)
    with jax.enable_x64(True):
        target = FlatTarget.of(model)
        dim = target.dim
        if not 1 <= dim <= MOST_DIMENSIONS:
            raise SpecError(
                f"quadrature: {names} have {dim} dimensions, more than {MOST_DIMENSIONS}. Marginalise some, or estimate"
                " by gm.log_z or gm.MonteCarlo."
            )
        integrands = Integrands(target, function)
        region = find_region(integrands)
        integrate = integrate_line if dim == 1 else integrate_box
        total, size, error, top, same = integrate(integrands, region, settings.rtol)
        unseen = np.asarray(same)[1:] if np.ndim(same) else np.zeros(0, int)
        suspect = bool(unseen.any()) and _reads(integrands)
    tails = region.tails * np.exp(float(region.frame.top) - top)
    tails = tails if len(tails) == len(total) else np.append(tails[:1], np.broadcast_to(tails[1:], len(total) - 1))
    if not (total[0] > 0 and error[0] < WORST * total[0]):
        relative = error[0] / total[0] if total[0] > 0 else np.inf
        raise SpecError(
            f"quadrature over {names}: two grids differ by {relative:.1g} of the integral."
            " The density is rough or improper: look at it by gm.lint, or estimate by gm.log_z."
        )
    _check_tails(tails, size, names)
    error = error + tails + ROUNDING * size
    relative, mean = error[0] / total[0], total[1:] / total[0]
    mean_error = error[1:] / total[0] + np.abs(mean) * relative + ROUNDING
    doubt = ""
    if suspect:
        rare = UNSEEN / np.maximum(unseen, 1) * np.maximum(np.abs(mean), 1.0)
        mean_error = mean_error + np.where(unseen > 0, rare, 0.0)
        doubt = (
            f"; suspect: the function has one value at all {int(unseen.max())} points, and the error is what a rare"
            " event adds that none of them has seen. Ask for such an event on a coarser scale, or condition on it"
        )
    return Integrals(float(np.log(total[0]) + top), float(relative), mean, mean_error, doubt)


def _reads(integrands: Integrands) -> bool:
    """Whether the function reads a variable in its program."""
    target, function = integrands.target, integrands.function
    if function is None:
        return False
    program = jax.make_jaxpr(lambda x: function(target.named(x)))(np.zeros(target.dim)).jaxpr
    seen = set(program.invars)
    for equation in program.eqns:
        if any(not isinstance(v, jax.extend.core.Literal) and v in seen for v in equation.invars):
            seen.update(equation.outvars)
    return any(not isinstance(v, jax.extend.core.Literal) and v in seen for v in program.outvars)


def _check_tails(tails: np.ndarray, size: np.ndarray, names: str) -> None:
    """Raises where more lies beyond the last place that can be evaluated than an integral may miss."""
    heavy = np.flatnonzero(tails > WORST * size)
    if not heavy.size:
        return
    missing = f"about {tails[heavy[0]] / max(size[heavy[0]], 1e-300):.1g} of it lies beyond what can be evaluated"
    if heavy[0] == 0:
        raise NoIntegralError(
            f"quadrature over {names}: the integral does not seem to exist: the density falls so slowly that {missing};"
            " it is improper, or nearly. Add a prior, or a term that grows."
        )
    raise NoIntegralError(
        f"quadrature over {names}: the mean of the function does not seem to exist: its size times the density falls so"
        f" slowly that {missing}. Take a function that grows less, such as a quantile or jnp.clip of it."
    )
