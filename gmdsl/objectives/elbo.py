r"""The evidence lower bound, $E_{q(z|x)}[\log p(x, z) - \log q(z \mid x)] = \log p(x) - D_{KL}(q(z|x) \| p(z|x))$.

Maximised over the model and the guide together: a variational autoencoder where both are networks. In the
tutorial's words it is one divergence between two joint densities, $D_{KL}(p_{data}(x) q(z|x) \| p(z) p(x|z))$.

Reference:
    Kingma, Welling, *Auto-encoding variational Bayes*, 2013, arXiv:1312.6114; Rezende, Mohamed, Wierstra, 2014,
    arXiv:1401.4082; Burda, Grosse, Salakhutdinov, *Importance weighted autoencoders*, 2015, arXiv:1509.00519.
"""

from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.graph.factor import Deterministic, Factor, Undirected
from gmdsl.learning.guide import Guided, as_guide, log_ratio, reparametrised
from gmdsl.learning.inputs import input_names
from gmdsl.learning.learnable import learnable
from gmdsl.learning.objective import Batch, Data, Metrics, Objective, check_model, rows
from gmdsl.models.model import Model


class ELBO(Objective):
    r"""Minus the bound, in nats per datum; `fit.learned.guide` is the guide that was learned with the model.

    Attributes:
        guide: q(z given x): `gm.given("x", encoder)`, or a model whose inputs are the data, and those of the model
            where it has any.
        particles: draws of the guide per datum.
        importance: whether the mean of several draws is taken inside the logarithm: a tighter bound (IWAE).
    """

    guide: Any
    particles: int = 1
    importance: bool = False

    def __check_init__(self) -> None:
        if not isinstance(self.particles, Integral) or self.particles < 1:
            raise SpecError(f"ELBO(particles={self.particles!r}): a whole number of at least 1 is needed.")

    @property
    def bias(self) -> str:
        return "a lower bound was maximised: the estimate is drawn to models whose posterior the guide can match"

    def prepare(self, model: Model) -> Guided:
        return Guided(model, as_guide("ELBO(guide=...)", self.guide, model))

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        check_model(self, model)
        guide = as_guide("ELBO(guide=...)", self.guide, model)
        needed = {*input_names(guide), *input_names(model)}
        if set(data) != needed:
            raise SpecError(
                f"fit(..., ELBO(...)): data for {', '.join(data)}, but the guide"
                f"{' and the model read' if model.inputs else ' reads'} {', '.join(sorted(needed))}."
                " Give data for exactly these."
            )
        for factor in model.factors:
            if isinstance(factor, Undirected) and _is_learned(model, factor):
                raise SpecError(
                    f"fit(..., ELBO(...)): {factor.name} is learned, and its normalising constant is unknown. Freeze"
                    " it, gm.freeze(net), or use gm.MaximumLikelihood(sampler=...)."
                )
        stuck = reparametrised(guide, {name: values[0] for name, values in data.items()})
        if stuck:
            raise SpecError(
                f"fit(..., ELBO(...)): draws of {stuck[0]} carry no gradient. Give the guide a continuous distribution"
                " that can be reparametrised, such as Normal."
            )

    def loss(self, key: Array, model: Guided, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        keys = jax.random.split(key, (rows(batch), self.particles))
        per_datum = jax.vmap(jax.vmap(log_ratio, in_axes=(None, 0, None)), in_axes=(None, 0, 0))
        ratios = per_datum(model, keys, dict(batch))
        if self.importance:
            return -jnp.mean(logsumexp(ratios, axis=1) - jnp.log(float(self.particles))), (state, {})
        return -jnp.mean(ratios), (state, {})


def _is_learned(model: Model, factor: Factor) -> bool:
    """Whether a factor holds something to learn, or reads it, be it through computed variables."""
    makers = {f.child: f for f in model.factors if isinstance(f, Deterministic)}
    reads, stack = [factor], list(factor.parents)
    while stack:
        name = stack.pop()
        if name in model.params:
            return True
        if name in makers:
            maker = makers.pop(name)
            reads.append(maker)
            stack.extend(maker.parents)
    return any(any(jax.tree.leaves(learnable(f))) for f in reads)
