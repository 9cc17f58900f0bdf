r"""Maximum likelihood: minimise $-\frac1n \sum_i \log p_\theta(x_i)$, exactly or by a sampler.

The log-likelihood is an expectation over the data, so maximising it projects the data onto the model in
$D_{KL}(p_{data} \| p_\theta)$: no mode of the data may be missed. Where the model has an unknown normalising
constant, or hidden variables without data, its gradient is a difference of expectations (Fisher's identity),

$$\nabla_\theta \log p_\theta(x) = E_{p_\theta(z|x)}[\nabla_\theta f_\theta(x, z)]
- E_{p_\theta(x, z)}[\nabla_\theta f_\theta(x, z)],$$

and both are taken over chains of an exact sampler that go on from update to update.

Reference:
    Fisher, *On the mathematical foundations of theoretical statistics*, 1922; Younes, *On the convergence of
    Markovian stochastic algorithms with rapidly decreasing ergodicity rates*, 1999; Pang et al., *Learning latent
    space energy-based prior model*, 2020, arXiv:2006.08205.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.inner_step import InnerStep
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import stopped
from gmdsl.exact.discrete_sums import log_sum
from gmdsl.inference.sampler import Sampler
from gmdsl.learning.chains import Chains, bound, moved, settled, starts
from gmdsl.learning.objective import Batch, Data, Metrics, Objective, check_model, rows
from gmdsl.models.model import Model
from gmdsl.models.operators.childless import essential

TUNING = 0.1  # how fast the step follows the acceptance rate, per update


class MaximumLikelihood(Objective):
    """The mean negative log-density of the data, in nats per datum where the model is normalised.

    With a sampler the loss is the difference of mean energies, whose gradient is that of the likelihood; its value
    is not the likelihood.

    Attributes:
        sampler: an exact sampler, for models that are not normalised or have hidden variables; its step follows the
            acceptance rate that it aims at. None where the density is normalised, or an energy of discrete variables
            whose states can be summed exactly (`gm.log_normalizer`).
        steps: transitions per update.
        chains: chains of the model, for an unknown normalising constant.
        warmup: transitions before the first update.
    """

    sampler: Sampler | None = None
    steps: int = 10
    chains: int = 256
    warmup: int = 100

    def __check_init__(self) -> None:
        for name, least in (("steps", 1), ("chains", 1), ("warmup", 0)):
            if getattr(self, name) < least:
                raise SpecError(f"MaximumLikelihood({name}={getattr(self, name)}): at least {least} is needed.")
        if self.sampler is not None and self.sampler.bias:
            raise SpecError(
                f"MaximumLikelihood({type(self.sampler).__name__}(...)): {self.sampler.bias}. Take an exact sampler,"
                " gm.MALA(...), or say what it is, gm.ContrastiveDivergence(..., persistent=True)."
            )

    @property
    def bias(self) -> str | None:
        return (
            None if self.sampler is None else "expectations over chains: as good as the chains mix; look at acceptance"
        )

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        check_model(self, model)
        offer, hidden = model.capabilities(), [name for name in model.free if name not in data]
        if self.sampler is not None:
            self._check_sampler(self.sampler, model, data, hidden)
            if hidden and held_out is not None:
                raise SpecError(
                    "fit(held_out=...): hidden variables have chains for the data that is learned from only. Leave"
                    " held_out away; gm.log_marginal scores the fitted model."
                )
            return
        if not offer.normalized and not hidden and (refused := _without_sum(model)):
            raise SpecError(
                f"fit(..., MaximumLikelihood()): {offer.reasons['normalized']}{refused}. Give a sampler,"
                " gm.MaximumLikelihood(gm.MALA(0.1)), or use gm.ContrastiveDivergence or gm.NoiseContrastive."
            )
        if hidden:
            raise SpecError(
                f"fit(..., MaximumLikelihood()): {hidden[0]} has no data. Integrate it out,"
                f" .marginalize({hidden[0]!r}), learn a bound, gm.ELBO(guide=...), or give a"
                " sampler, gm.MaximumLikelihood(gm.MALA(0.1))."
            )

    def _check_sampler(self, sampler: Sampler, model: Model, data: Data, hidden: list[str]) -> None:
        """Refuses a sampler that cannot move what it has to."""
        targets = [] if model.capabilities().normalized else [FlatTarget.of(essential(model))]
        if hidden:
            targets.append(_posterior(model, {name: values[0] for name, values in data.items()}))
        for target in targets:
            try:
                bound(sampler, target)
            except SpecError as error:
                raise SpecError(f"fit(..., MaximumLikelihood({type(sampler).__name__}(...))): {error}") from None

    def init(self, key: Array, model: Model, data: Data) -> Any:
        if self.sampler is None:
            return ()
        key_free, key_posterior = jax.random.split(key)
        sampler, state = self.sampler, {}
        if not model.capabilities().normalized:
            target = FlatTarget.of(essential(model))
            inner, x = InnerStep(bound(sampler, target)), starts(key_free, target, self.chains)
            if set(target.free) <= set(data):
                chosen = jax.random.randint(key_free, (self.chains,), 0, rows(data))
                x = jax.vmap(target.unconstrain)({name: data[name][chosen] for name in target.free})
            state["model"] = settled(inner, key_free, lambda _: target, x, None, self.warmup)
        if any(name not in data for name in model.free):
            first = _posterior(model, {name: values[0] for name, values in data.items()})
            inner, x = InnerStep(bound(sampler, first)), starts(key_posterior, first, rows(data))
            posterior = functools.partial(_posterior, model)
            state["posterior"] = settled(inner, key_posterior, posterior, x, dict(data), self.warmup)
        return state

    def loss(self, key: Array, model: Model, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        if self.sampler is None:
            loss = -jnp.mean(_log_densities(model, dict(batch)))
            return loss + (0.0 if model.capabilities().normalized else log_sum(essential(model))), (state, {})
        key_free, key_posterior = jax.random.split(key)
        sampler, still, state, metrics = self.sampler, stopped(model), dict(state), {}
        real = dict(batch)
        if "posterior" in state:
            posterior = functools.partial(_posterior, still)
            inner = InnerStep(bound(sampler, posterior({name: values[0] for name, values in batch.items()})))
            x, state["posterior"] = self._move_hidden(inner, key_posterior, posterior, batch, state["posterior"])
            metrics["posterior_acceptance"] = state["posterior"].acceptance
            real = jax.vmap(lambda x, datum: {**posterior(datum).free_values(x), **datum})(x, dict(batch))
        loss = -jnp.mean(_log_densities(model, real))
        if "model" in state:
            target = FlatTarget.of(essential(still))
            inner = InnerStep(bound(sampler, target))
            state["model"] = moved(inner, key_free, lambda _: target, state["model"], None, self.steps, TUNING)
            metrics["acceptance"] = state["model"].acceptance
            fake = jax.vmap(target.free_values)(state["model"].x)
            loss = loss + jnp.mean(_log_densities(essential(model), fake))
        return loss, (state, metrics)

    def _move_hidden(
        self, inner: InnerStep, key: Array, posterior: Any, batch: Batch, store: Chains
    ) -> tuple[Float[Array, "rows dim"], Chains]:
        """Hidden variables of the data in a batch, moved; and the store of all of them."""
        held = store if batch.index is None else store._replace(x=store.x[batch.index])
        after = moved(inner, key, posterior, held, dict(batch), self.steps, TUNING)
        return after.x, after if batch.index is None else after._replace(x=store.x.at[batch.index].set(after.x))


def _without_sum(model: Model) -> str:
    """Why no exact sum gives the normalising constant, in words; empty where it does."""
    if not all(model.spaces[name].discrete for name in model.free):
        return ", and it is no sum over states"
    try:
        jax.eval_shape(lambda: log_sum(essential(model)))
    except SpecError as error:
        return f" ({error})"
    return ""


def _posterior(model: Model, datum: Any) -> FlatTarget:
    """The hidden variables of one datum; its values were checked by `gm.fit` and may be traced."""
    return FlatTarget.of(dataclasses.replace(model, observed={**model.observed, **datum}))


def _log_densities(model: Model, values: Any) -> Float[Array, " n"]:
    return jax.vmap(FlatTarget.of(model).log_density_at)(values)
