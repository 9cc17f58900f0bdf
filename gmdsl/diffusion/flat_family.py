"""A noised family over one flat vector: what the way back sees."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.diffusion.denoiser import Denoiser
from gmdsl.diffusion.process import Process, Scalar
from gmdsl.spaces.layout import Layout, flatten, size


class FlatFamily(eqx.Module):
    """A noised family on flat vectors: what a reverse sampler sees.

    Attributes:
        process: the forward process.
        denoiser: where scores come from.
        layout: the variables and their spaces.
        begin: a model whose draws start the way back; None for the Gaussian of the process.
    """

    process: Process
    denoiser: Denoiser
    layout: Layout = eqx.field(static=True)
    begin: Any = None

    @property
    def dim(self) -> int:
        """Length of the vector."""
        return size(self.layout)

    @property
    def first(self) -> float:
        """The first time at which the score is finite: 0 where it is, else the `t_min` of the process."""
        return 0.0 if self.denoiser.zero_is_finite else self.process.t_min

    @property
    def width(self) -> Any:
        """Standard deviation of the finest structure of the data, where it is known; 0 where not."""
        return self.denoiser.width

    def check_score(self, name: str) -> None:
        """Refuses a family whose velocity was learned from pairs: its noised laws are not those of the process.

        Raises:
            SpecError: names what needs the score.
        """
        if self.denoiser.paired:
            raise SpecError(
                f"{name}: the family was learned by FlowMatching(transport=True), a velocity without a score. Go back"
                " along the flow, gm.ReverseODE() or gm.DDIM(eta=0.0), or learn it without transport."
            )

    def score(self, x: Float[Array, " dim"], t: Scalar) -> Float[Array, " dim"]:
        """The score at time t."""
        return self.denoiser.score(self.process, x, t)

    def denoise(self, x: Float[Array, " dim"], t: Scalar) -> Float[Array, " dim"]:
        """The expected clean datum."""
        return self.denoiser.denoise(self.process, x, t)

    def velocity(self, x: Float[Array, " dim"], t: Scalar) -> Float[Array, " dim"]:
        """The velocity of the probability flow."""
        return self.denoiser.velocity(self.process, x, t)

    def start(self, key: Array) -> Float[Array, " dim"]:
        """A draw at the noisy end."""
        if self.begin is not None:
            return flatten(self.layout, self.begin.sample(key))
        return self.process.prior_scale * jax.random.normal(key, (self.dim,))
