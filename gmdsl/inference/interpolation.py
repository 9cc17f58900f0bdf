r"""How a path leads from its reference q to its target p.

On every path here $\log\pi_\beta(x) = \log q(x) + g(r(x), \beta)$ with $r = \log p - \log q$, where $g(r, 0) = 0$ and
$g(r, 1) = r$. On the geometric path $g = \beta r$, that is $\pi_\beta \propto q^{1-\beta} p^\beta$.

Reference:
    Gelman and Meng, *Simulating normalizing constants*, Statistical Science 13, 1998.
"""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.settings import Checked


class Interpolation(Checked, eqx.Module):
    """The densities between two models. Subclasses give `log_weight`; what runs along a path asks for nothing else."""

    @abc.abstractmethod
    def log_weight(self, log_ratio: Float[Array, "..."], beta: Float[Array, ""]) -> Float[Array, "..."]:
        r"""The function g: the log-density at $\beta$ less that of the reference.

        Args:
            log_ratio: log-density of the target less that of the reference, at any number of points.
            beta: from 0 (the reference) to 1 (the target).
        """

    def increment(self, log_ratio: Float[Array, "..."], before: Any, after: Any) -> Float[Array, "..."]:
        """What the log-density grows by from one beta to another."""
        return self.log_weight(log_ratio, after) - self.log_weight(log_ratio, before)

    def model(self, target: Any, reference: Any, beta: float) -> Any:
        """The model at one beta.

        Raises:
            SpecError: the densities between have no declaration of their own.
        """
        del target, reference
        raise SpecError(
            f"path.at({beta}): densities of {type(self).__name__}() are not declared as models. Sample the path, or"
            " take the geometric one, gm.temper(model, reference)."
        )


class Geometric(Interpolation):
    r"""Tempering: $\pi_\beta \propto q^{1-\beta} p^\beta$."""

    def log_weight(self, log_ratio: Float[Array, "..."], beta: Float[Array, ""]) -> Float[Array, "..."]:
        return beta * log_ratio

    def increment(self, log_ratio: Float[Array, "..."], before: Any, after: Any) -> Float[Array, "..."]:
        return (after - before) * log_ratio

    def model(self, target: Any, reference: Any, beta: float) -> Any:
        if beta in (0.0, 1.0):
            return target if beta else reference
        return target**beta * reference ** (1.0 - beta)
