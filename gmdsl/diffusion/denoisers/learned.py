"""A network as the denoiser: called with a noised datum and a time, read by a `Prediction`."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from gmdsl.diffusion.denoiser import Denoiser
from gmdsl.diffusion.prediction import Prediction
from gmdsl.diffusion.process import Process, Scalar
from gmdsl.graph.factor import Call
from gmdsl.spaces.layout import Layout, flatten, unflatten


class LearnedDenoiser(Denoiser):
    """A network of a noised datum and a time.

    Attributes:
        network: called as `network(x, t)` with x in its declared shape (several variables: a dict).
        prediction: what the output means.
        layout: the variables and their spaces, in the order of the flat vector.
    """

    network: Call
    prediction: Prediction
    layout: Layout = eqx.field(static=True)

    kind: ClassVar[str] = "learned"

    def denoise(self, process: Process, x: Array, t: Scalar) -> Array:
        return self.prediction.denoise(process, self._flat, x, t)

    def score(self, process: Process, x: Array, t: Scalar) -> Array:
        return process.score_of(x, self.denoise(process, x, t), t)

    def _flat(self, x: Array, t: Scalar) -> Array:
        """The network on flat vectors."""
        named = unflatten(self.layout, x)
        single = len(self.layout) == 1
        out = self.network({"x": next(iter(named.values())) if single else named, "t": t})
        return jnp.ravel(out) if single else flatten(self.layout, out)
