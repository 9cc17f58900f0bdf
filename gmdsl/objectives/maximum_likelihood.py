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
from gmdsl.learning.inputs import at_datum, conditional, first, inputs_of, variables_of
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
            acceptance rate that it aims at, one for each datum where the densities differ. None where the density is
            normalised, or an energy of discrete variables whose states can be summed exactly (`gm.log_normalizer`).
        steps: transitions per update.
        chains: chains of the model, for an unknown normalising constant; one per datum where it depends on inputs.
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

    @property
    def comparable(self) -> bool:
        return self.sampler is None

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        check_model(self, model)
        offer, hidden = model.capabilities(), [name for name in model.free if name not in data]
        if self.sampler is not None:
            self._check_sampler(self.sampler, model, data, hidden)
            if held_out is not None and (hidden or (model.inputs and not offer.normalized)):
                what = "hidden variables have" if hidden else "a density that depends on inputs has"
                raise SpecError(
                    f"fit(held_out=...): {what} chains for the data that is learned from only. Leave"
                    " held_out away; gm.log_marginal scores the fitted model."
                )
            return
        if not offer.normalized and not hidden and (refused := _without_sum(model, data)):
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
        targets = [] if model.capabilities().normalized else [conditional(essential(model))(first(data))]
        if hidden:
            targets.append(FlatTarget.of(at_datum(model, first(data))))
        for target in targets:
            try:
                bound(sampler, target)
            except SpecError as error:
                raise SpecError(f"fit(..., MaximumLikelihood({type(sampler).__name__}(...))): {error}") from None

    def init(self, key: Array, model: Model, data: Data) -> Any:
        if self.sampler is None:
            return ()
        key_free, key_posterior = jax.random.split(key)
        state = {}
        if not model.capabilities().normalized:
            state["model"] = self._first_of_model(key_free, model, data)
        if any(name not in data for name in model.free):
            posterior = functools.partial(_posterior, model)
            start = starts(key_posterior, posterior(first(data)), rows(data))
            inner = self._inner(posterior, data)
            state["posterior"] = settled(inner, key_posterior, posterior, start, dict(data), self.warmup)
        return state

    def _first_of_model(self, key: Array, model: Model, data: Data) -> Chains:
        """Chains of the model: so many as were asked for, or one per datum where there are inputs."""
        density = conditional(essential(model))
        target = density(first(data))
        count = rows(data) if model.inputs else self.chains
        x = starts(key, target, count)
        if set(target.free) <= set(data):
            chosen = jnp.arange(count) if model.inputs else jax.random.randint(key, (count,), 0, rows(data))
            x = jax.vmap(target.unconstrain)({name: data[name][chosen] for name in target.free})
        given = inputs_of(model, data) if model.inputs else None
        return settled(self._inner(density, data), key, density, x, given, self.warmup)

    def _inner(self, density: Any, data: Data) -> InnerStep:
        """The sampler of densities that depend on a datum, and how its step follows."""
        if self.sampler is None:
            raise AssertionError("chains are moved by a sampler")
        return InnerStep(bound(self.sampler, density(first(data))))

    def loss(self, key: Array, model: Model, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        if self.sampler is None:
            loss = -jnp.mean(_log_densities(model, dict(batch)))
            return loss + (0.0 if model.capabilities().normalized else _log_sums(model, batch)), (state, {})
        key_free, key_posterior = jax.random.split(key)
        still, state, metrics = stopped(model), dict(state), {}
        real = dict(batch)
        if "posterior" in state:
            posterior = functools.partial(_posterior, still)
            x, state["posterior"] = self._moved(key_posterior, posterior, batch, state["posterior"])
            metrics["posterior_acceptance"] = state["posterior"].acceptance
            real = jax.vmap(lambda x, datum: {**posterior(datum).free_values(x), **datum})(x, dict(batch))
        of_data = jnp.mean(_log_densities(model, real))
        if "model" not in state:
            return -of_data, (state, metrics)
        fake, state["model"] = self._of_model(key_free, still, batch, state["model"])
        of_chains = jnp.mean(_log_densities(essential(model), fake))
        metrics["acceptance"] = state["model"].acceptance
        metrics |= {"log_density_data": of_data, "log_density_chains": of_chains}
        return of_chains - of_data, (state, metrics)

    def _of_model(self, key: Array, still: Model, batch: Batch, chains: Chains) -> tuple[dict[str, Array], Chains]:
        """Draws of the model, at the inputs of a batch where there are any; and its chains, moved."""
        density = conditional(essential(still))
        if not still.inputs:
            chains = moved(self._inner(density, batch), key, density, chains, None, self.steps, TUNING)
            return jax.vmap(density({}).free_values)(chains.x), chains
        x, chains = self._moved(key, density, batch, chains)
        given = inputs_of(still, batch)
        return jax.vmap(lambda x, at: {**density(at).free_values(x), **at})(x, given), chains

    def _moved(self, key: Array, density: Any, batch: Batch, store: Chains) -> tuple[Float[Array, "rows dim"], Chains]:
        """Chains of the data in a batch, one per datum, moved; and the store of all of them."""
        where = slice(None) if batch.index is None else batch.index
        held = store._replace(x=store.x[where], log_step=store.log_step[where])
        after = moved(self._inner(density, batch), key, density, held, dict(batch), self.steps, TUNING)
        x, log_step = store.x.at[where].set(after.x), store.log_step.at[where].set(after.log_step)
        return after.x, Chains(x, log_step, after.acceptance)


def _log_sums(model: Model, batch: Batch) -> Float[Array, ""]:
    """The logarithm of the normalising constant, its mean over the inputs of a batch where there are any."""
    kept = essential(model)
    if not model.inputs:
        return log_sum(kept)
    return jnp.mean(jax.vmap(lambda at: log_sum(at_datum(kept, at)))(inputs_of(model, batch)))


def _without_sum(model: Model, data: Data) -> str:
    """Why no exact sum gives the normalising constant, in words; empty where it does."""
    if not all(model.spaces[name].discrete for name in model.free):
        return ", and it is no sum over states"
    try:
        jax.eval_shape(lambda: log_sum(at_datum(essential(model), inputs_of(model, first(data)))))
    except SpecError as error:
        return f" ({error})"
    return ""


def _posterior(model: Model, datum: Any) -> FlatTarget:
    """The hidden variables of one datum."""
    return FlatTarget.of(at_datum(model, datum))


def _log_densities(model: Model, values: Any) -> Float[Array, " n"]:
    """Of named variables and inputs, one row per datum."""
    if not model.inputs:
        return jax.vmap(FlatTarget.of(model).log_density_at)(values)
    density = conditional(model)
    return jax.vmap(lambda row: density(row).log_density_at(variables_of(model, row)))(values)
