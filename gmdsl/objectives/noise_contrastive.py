r"""Noise-contrastive estimation: learn an energy and its $\log Z$ by telling data from noise.

With $\nu$ draws of noise $\tilde x \sim q$ per datum, a classifier with logit
$h(x) = f_\theta(x) - \log Z - \log q(x) - \log\nu$ is trained by logistic regression; $\log Z$ is a
parameter like any other. As the number of data grows the estimate tends to the truth for any q that
covers the data, with a variance that depends on q.

A density with inputs has a constant Z(c) for each of their values. There the datum is told from its own draws of noise
by its rank, with the loss $-\log \frac{e^{h(x, c)}}{e^{h(x, c)} + \sum_k e^{h(\tilde x_k, c)}}$,
$h = f_\theta - \log q$, in which Z(c) cancels.

Reference:
    Gutmann and Hyvarinen, *Noise-contrastive estimation of unnormalized statistical models*, JMLR 13, 2012;
    Ma and Collins, *Noise contrastive estimation and negative sampling for conditional models*, 2018, arXiv:1809.01812.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError
from gmdsl.core.random.repeat import repeated
from gmdsl.graph.ancestral import complete
from gmdsl.graph.nodes import Param, param
from gmdsl.learning.inputs import conditional, input_names, inputs_of, variables_of
from gmdsl.learning.objective import Batch, Data, Metrics, Objective, check_model, rows
from gmdsl.models.model import Model

LOG_Z = "log_z"


class NoiseContrastive(Objective):
    """Logistic loss of data against draws of a reference; the fitted model gains the parameter `log_z`.

    With inputs the loss is that of ranking a datum before its draws of noise, and no constant is learned.

    Attributes:
        reference: a normalised model of the same variables, in the same spaces, that can be drawn from; it may read
            inputs of the model.
        ratio: draws of noise per datum.
    """

    reference: Model
    ratio: int = 1

    def __check_init__(self) -> None:
        offer = dataclasses.replace(self.reference, inputs=()).capabilities()  # they are bound to those of each datum
        if not (offer.normalized and offer.drawable):
            reason = offer.reasons.get("normalized") or offer.reasons.get("drawable")
            raise SpecError(f"NoiseContrastive(reference=...): {reason}. The noise must be normalised and drawable.")
        if self.ratio < 1:
            raise SpecError(f"NoiseContrastive(ratio={self.ratio}): at least one draw of noise per datum is needed.")

    def prepare(self, model: Model) -> Model:
        if LOG_Z in model.params or model.inputs:
            return model
        known: Param = param(0.0)
        return dataclasses.replace(model, params={**model.params, LOG_Z: known})

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        check_model(self, model)
        strange = [name for name in input_names(self.reference) if name not in input_names(model)]
        if strange:
            raise SpecError(
                f"fit(..., NoiseContrastive(...)): the reference reads the input {strange[0]}, which the model does not"
                f" have. Bind it, reference.condition({strange[0]}=...)."
            )
        if set(self.reference.free) != set(model.free) or set(variables_of(model, data)) != set(model.free):
            raise SpecError(
                f"fit(..., NoiseContrastive(...)): the model has {', '.join(model.free)}, the reference"
                f" {', '.join(self.reference.free)}, the data {', '.join(data)}. All three must agree."
            )
        for name in model.free:
            mine, noise = model.spaces[name], self.reference.spaces[name]
            if mine != noise:
                raise SpecError(
                    f"fit(..., NoiseContrastive(...)): {name} lives in {mine.title} in the model, in {noise.title} in"
                    " the reference: log Z would be of no density. Give both one space."
                )

    def loss(self, key: Array, model: Model, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        if model.inputs:
            return self._ranking(key, model, batch, state)
        noise = self.reference.sample(key, rows(batch) * self.ratio)
        logit = self.logit(model)
        real = jax.vmap(logit)(dict(batch))
        fake = jax.vmap(logit)({name: noise[name] for name in batch})
        loss = jnp.mean(jax.nn.softplus(-real)) + self.ratio * jnp.mean(jax.nn.softplus(fake))
        right = 0.5 * (jnp.mean(real > 0) + jnp.mean(fake < 0))
        return loss, (state, {"accuracy": right, LOG_Z: model.params[LOG_Z].value})

    def _ranking(
        self, key: Array, model: Model, batch: Batch, state: Any
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        """How far each datum ranks before draws of noise at its own inputs."""
        density, noise = conditional(model), conditional(self.reference)

        def logits(key: Array, row: Any) -> tuple[Array, Array]:
            drawn = repeated(
                lambda key: complete(self.reference, key, inputs_of(self.reference, row)), key, (self.ratio,)
            )
            mine, other, datum = density(row), noise(row), variables_of(model, row)
            logit = lambda values: mine.log_density_at(values) - other.log_density_at(values)  # noqa: E731
            return logit(datum), jax.vmap(logit)({name: drawn[name] for name in datum})

        real, fake = jax.vmap(logits)(jax.random.split(key, rows(batch)), dict(batch))
        loss = jnp.mean(jax.nn.logsumexp(jnp.column_stack([real, fake]), axis=1) - real)
        return loss, (state, {"accuracy": jnp.mean(real > jnp.max(fake, axis=1))})

    def logit(self, model: Model) -> Callable[[Data], Float[Array, ""]]:
        """The logit of the classifier as a function of one datum."""
        density, noise = FlatTarget.of(model), FlatTarget.of(self.reference)
        shift = model.params[LOG_Z].value + jnp.log(float(self.ratio))
        return lambda values: density.log_density_at(values) - noise.log_density_at(values) - shift
