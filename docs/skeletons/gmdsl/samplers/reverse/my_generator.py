r"""Independent draws from nothing: the equation.

Reference:
    Author, *Title*, year.
"""

from typing import ClassVar

import jax
from jaxtyping import Array, Float

from gmdsl.inference.generator import Generator
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class MyGenerator(Generator):
    """Draws of a wide Gaussian, weighed by the density of the model.

    Attributes:
        scale: standard deviation of the Gaussian, in unconstrained coordinates.
    """

    scale: float = 3.0

    takes: ClassVar[type] = Target  # or gmdsl.diffusion.flat_family.FlatFamily, to run a noised family backwards

    def draw(self, key: Array, target: Target) -> tuple[Float[Array, " dim"], Stats]:
        x = self.scale * jax.random.normal(key, (target.dim,))
        proposal = jax.scipy.stats.norm.logpdf(x, scale=self.scale).sum()
        return x, {"log_weight": target.log_density(x) - proposal}
