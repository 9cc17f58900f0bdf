r"""Power means of two densities: $\pi_\beta \propto ((1 - \beta)\, q^{1-s} + \beta\, p^{1-s})^{1 / (1-s)}$.

At s = 0 the arithmetic mean, a mixture whose densities keep all of the mass of both ends; as s goes to 1, the geometric
path. In between the mass of q is left more slowly than on the geometric path, which helps where q and p overlap little.

Reference:
    Masrani, Brekelmans, Bui, Nielsen, Galstyan, Ver Steeg, Wood, *q-Paths: generalizing the geometric annealing path
    using power means*, 2021, arXiv:2107.00745.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.inference.interpolation import Interpolation


class QPath(Interpolation):
    """The power mean of reference and target.

    The ends are weighed as they are: the target should be normalised up to a few nats.

    Attributes:
        q: the order, at least 0 (arithmetic) and below 1 (near the geometric path).

    >>> round(float(QPath(0.0).log_weight(jnp.log(3.0), jnp.asarray(0.5))), 4)  # log((1 + 3) / 2)
    0.6931
    """

    q: float = 0.5

    def __check_init__(self) -> None:
        if isinstance(self.q, int | float) and not 0.0 <= self.q < 1.0:
            raise SpecError(f"QPath(q={self.q}): a number from 0 to below 1 is needed; 1 is gm.temper's own path.")

    def log_weight(self, log_ratio: Float[Array, "..."], beta: Float[Array, ""]) -> Float[Array, "..."]:
        rest = 1.0 - self.q
        return jnp.logaddexp(jnp.log1p(-beta), jnp.log(beta) + rest * log_ratio) / rest
