r"""No density far out, where bijections have left the numbers.

An unconstrained value u = -100 of a positive variable is the value exp(-100), which single precision holds as zero.
There a density is a sum like $\infty - \infty$ or a product like $0 \cdot \infty$, and NaN says nothing of the model:
the limit of every density that can be normalised is zero. From half of the range of exponents on (|u| > 43 in single
precision, 353 in double), where squares and reciprocals of values overflow, NaN and $+\infty$ are therefore read as
$-\infty$. So is NaN at a matrix that rounding has made singular. Nearer they stay what they are: there they are the
model's own.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.plan import Plan
from gmdsl.spaces.matrices import PositiveDefinite
from gmdsl.spaces.space import Real, Space
from gmdsl.spaces.unnamed import Support

MATRICES = ("corrmatrix", "positivesemidefinite")  # supports of matrices with a Cholesky factor, by NumPyro's names

FEW = 8  # runs of mapped entries that are read one by one


class FarOut:
    """Where an unconstrained value is so far out that its density is zero. Made of the plan of a model.

    Attributes:
        mapped: which entries of the flat vector are mapped to a support, and not taken as they are.
        matrices: the variables that are positive definite matrices.
    """

    def __init__(self, plan: Plan):
        self.mapped = np.zeros(plan.dim, bool)
        for slot in plan.slots:
            self.mapped[slot.start : slot.stop] = not (isinstance(slot.space, Real) or slot.space.discrete)
        self.matrices = tuple(slot.name for slot in plan.slots if _has_cholesky(slot.space))

    def mended(self, log_density: Float[Array, ""], x: Float[Array, " dim"], values: Mapping[str, Any]) -> Any:
        """The log-density, -inf in place of NaN and +inf far out.

        Args:
            log_density: at x.
            x: the flat vector.
            values: the variables there, by name.
        """
        if not self.mapped.any():
            return log_density
        far = self.farthest(x) > limit(x.dtype)
        far = far & ~(log_density < jnp.inf)
        for name in self.matrices:
            factor = jnp.linalg.cholesky(jax.lax.stop_gradient(values[name]))
            far |= jnp.isnan(log_density) & jnp.isnan(factor).any() & ~jnp.isnan(x).any()
        return jnp.where(far, -jnp.inf, log_density)

    def farthest(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        """How far out the farthest mapped entry lies; long vectors are not read where few of them are mapped."""
        ends = np.flatnonzero(np.diff(self.mapped, prepend=False, append=False)).reshape(-1, 2)
        if len(ends) > FEW:
            return jnp.max(jnp.where(self.mapped, jnp.abs(x), 0.0))
        largest = [jnp.max(jnp.abs(x[start:stop])) for start, stop in ends.tolist()]
        return functools.reduce(jnp.maximum, largest)


def limit(dtype: Any) -> float:
    """How far out an entry lies where squares of its exponential overflow.

    >>> print(f"{limit(np.float32):.1f} {limit(np.float64):.1f}")
    43.4 353.9
    """
    return float(0.5 * np.log(np.finfo(dtype).max) - 1.0)


def _has_cholesky(space: Space) -> bool:
    return isinstance(space, PositiveDefinite) or (isinstance(space, Support) and space.kind in MATRICES)
