"""A network as the denoiser: called with a noised datum and a time, read by a `Prediction`."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

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
        network: called as `network(x, t)` with x in its declared shape (several variables: a dict), and with the
            values of the inputs after these.
        prediction: what the output means.
        layout: the variables and their spaces, in the order of the flat vector.
        takes: the inputs and their spaces, in the order of the arguments.
        given: values of inputs by name.
        paired: whether noise was paired with data in learning.
    """

    network: Call
    prediction: Prediction
    layout: Layout = eqx.field(static=True)
    takes: Layout = eqx.field(static=True, default=())
    given: dict[str, Any] = eqx.field(default_factory=dict)
    paired: bool = eqx.field(static=True, default=False)

    kind: ClassVar[str] = "learned"

    @property
    def declared_inputs(self) -> Layout:
        return self.takes

    @property
    def inputs(self) -> Layout:
        return tuple((name, space) for name, space in self.takes if name not in self.given)

    def at(self, given: Mapping[str, Any]) -> "LearnedDenoiser":
        return dataclasses.replace(self, given={**self.given, **given})

    def denoise(self, process: Process, x: Array, t: Scalar) -> Array:
        return self.prediction.denoise(process, self._number if self.prediction.scalar else self._flat, x, t)

    def score(self, process: Process, x: Array, t: Scalar) -> Array:
        return process.score_of(x, self.denoise(process, x, t), t)

    def velocity(self, process: Process, x: Array, t: Scalar) -> Array:
        denoised = self.denoise(process, x, t)  # the network is called once
        return process.velocity_of(denoised, process.score_of(x, denoised, t), t)

    def _flat(self, x: Array, t: Scalar) -> Array:
        """The network on flat vectors."""
        out = self._call(x, t)
        return jnp.ravel(out) if len(self.layout) == 1 else flatten(self.layout, out)

    def _number(self, x: Array, t: Scalar) -> Scalar:
        """A network of one number on flat vectors."""
        return jnp.reshape(self._call(x, t), ())

    def _call(self, x: Array, t: Scalar) -> Any:
        named = unflatten(self.layout, x)
        point = next(iter(named.values())) if len(self.layout) == 1 else named
        given = {argument(name): self.given[name] for name, _ in self.takes}
        return self.network({"x": point, "t": t, **given})


def argument(name: str) -> str:
    """What the call of a network names an input; inputs may be called x or t, too."""
    return f"input {name}"
