r"""What is minimised, and the equation: $-\frac1n \sum_i \log p_\theta(x_i) + \lambda \sum_j \theta_j^2$.

Reference:
    Author, *Title*, year.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.learning.objective import Batch, Metrics, Objective
from gmdsl.models.model import Model


class MyObjective(Objective):
    """Penalised maximum likelihood of a normalised model.

    Attributes:
        penalty: weight of the squares of the parameters, per datum.
    """

    penalty: float = 0.0

    @property
    def bias(self) -> str | None:
        return "parameters are drawn towards zero" if self.penalty else None

    def loss(self, key: Array, model: Model, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        density = jnp.mean(jax.vmap(FlatTarget.of(model).log_density_at)(dict(batch)))
        squares = sum(jnp.sum(param.value**2) for param in model.params.values())
        return self.penalty * squares - density, (state, {"log_density": density})
