r"""Noise-contrastive estimation: learn an energy and its $\log Z$ by telling data from noise.

With $\nu$ draws of noise $\tilde x \sim q$ per datum, a classifier with logit
$h(x) = f_\theta(x) - \log Z - \log q(x) - \log\nu$ is trained by logistic regression; $\log Z$ is a
parameter like any other. As the number of data grows the estimate tends to the truth for any q that
covers the data, with a variance that depends on q.

Reference:
    Gutmann and Hyvarinen, *Noise-contrastive estimation of unnormalized statistical models*, JMLR 13, 2012.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.program import program_of
from gmdsl.core.errors import SpecError
from gmdsl.graph.nodes import Param, param
from gmdsl.learning.objective import Batch, Metrics, Objective, rows
from gmdsl.models.model import Model

LOG_Z = "log_z"


class NoiseContrastive(Objective):
    """Logistic loss of data against draws of a reference; the fitted model gains the parameter `log_z`.

    Attributes:
        reference: a normalised model of the same variables that can be drawn from.
        ratio: draws of noise per datum.
    """

    reference: Model
    ratio: int = 1

    def __check_init__(self) -> None:
        offer = self.reference.capabilities()
        if not (offer.normalized and offer.drawable):
            reason = offer.reasons.get("normalized") or offer.reasons.get("drawable")
            raise SpecError(f"NoiseContrastive(reference=...): {reason}. The noise must be normalised and drawable.")
        if self.ratio < 1:
            raise SpecError(f"NoiseContrastive(ratio={self.ratio}): at least one draw of noise per datum is needed.")

    def prepare(self, model: Model) -> Model:
        if LOG_Z in model.params:
            return model
        known: Param = param(0.0)
        return dataclasses.replace(model, params={**model.params, LOG_Z: known})

    def check(self, model: Any, data: Batch) -> None:
        if set(self.reference.free) != set(model.free) or set(data) != set(model.free):
            raise SpecError(
                f"fit(..., NoiseContrastive(...)): the model has {', '.join(model.free)}, the reference"
                f" {', '.join(self.reference.free)}, the data {', '.join(data)}. All three must agree."
            )

    def loss(self, key: Array, model: Any, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        noise = self.reference.sample(key, rows(batch) * self.ratio)
        noise = {name: noise[name] for name in batch}
        real = jax.vmap(lambda x: self._logit(model, x))(batch)
        fake = jax.vmap(lambda x: self._logit(model, x))(noise)
        loss = jnp.mean(jax.nn.softplus(-real)) + self.ratio * jnp.mean(jax.nn.softplus(fake))
        right = 0.5 * (jnp.mean(real > 0) + jnp.mean(fake < 0))
        return loss, (state, {"accuracy": right, LOG_Z: model.params[LOG_Z].value})

    def _logit(self, model: Any, values: Batch) -> Float[Array, ""]:
        program, leaves = program_of(model)
        reference, constants = program_of(self.reference)
        density = program.log_density(leaves, program.hoist(leaves), values) - model.params[LOG_Z].value
        noise = reference.log_density(constants, reference.hoist(constants), values)
        return density - noise - jnp.log(float(self.ratio))
