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
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.step_size import StepSize
from gmdsl.compiler.program import FlatTarget, program_of
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace, setting, stopped
from gmdsl.graph.conditional import Conditional
from gmdsl.inference.adapter import adapters_of
from gmdsl.inference.kernels.transitions import transitions
from gmdsl.inference.sampler import Sampler
from gmdsl.learning.objective import ROWS, Batch, Metrics, Objective, rows

TUNING = 0.1  # how fast the step follows the acceptance rate, per update
WARMUP_STEPS = 10  # transitions between two tunings of the step before the first update


class MaximumLikelihood(Objective):
    """The mean negative log-density of the data, in nats per datum where the model is normalised.

    With a sampler the loss is the difference of mean energies, whose gradient is that of the likelihood; its value
    is not the likelihood.

    Attributes:
        sampler: an exact sampler, for models that are not normalised or have hidden variables; its step follows the
            acceptance rate that it aims at. None where the density is exact.
        steps: transitions per update.
        chains: chains of the model, for an unknown normalising constant.
        warmup: transitions before the first update.
    """

    sampler: Sampler | None = None
    steps: int = 10
    chains: int = 256
    warmup: int = 100

    indexed: ClassVar[bool] = True

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
    def remark(self) -> str:
        return "" if self.sampler is None else "expectations over chains: as good as the chains mix; look at acceptance"

    def check(self, model: Any, data: Batch) -> None:
        offer, hidden = model.capabilities(), [name for name in model.free if name not in data]
        if self.sampler is not None:
            moved = model.free if not offer.normalized else hidden
            discrete = [name for name in moved if model.spaces[name].discrete]
            if discrete:
                name = type(self.sampler).__name__
                raise SpecError(
                    f"fit(..., MaximumLikelihood({name}(...))): {discrete[0]} is discrete, and {name} moves real"
                    f" numbers only. Sum it out, .marginalize({discrete[0]!r})."
                )
            return
        if not offer.normalized:
            raise SpecError(
                f"fit(..., MaximumLikelihood()): {offer.reasons['normalized']}. Give a sampler,"
                " gm.MaximumLikelihood(gm.MALA(0.1)), or use gm.ContrastiveDivergence or gm.NoiseContrastive."
            )
        if hidden:
            raise SpecError(
                f"fit(..., MaximumLikelihood()): {hidden[0]} has no data. Integrate it out,"
                f" .marginalize({hidden[0]!r}), learn a bound, gm.ELBO(guide=...), or give a"
                " sampler, gm.MaximumLikelihood(gm.MALA(0.1))."
            )

    def refuses_held_out(self, model: Any, data: Batch) -> str:
        if self.sampler is None or set(model.free) <= set(data):
            return ""
        return "hidden variables have chains for the data that is learned from only"

    def init(self, key: Array, model: Any, data: Batch) -> Any:
        if self.sampler is None:
            return ()
        key_free, key_posterior = jax.random.split(key)
        hidden = tuple(name for name in model.free if name not in data)
        state = {}
        if not model.capabilities().normalized:
            target = _target(_essential(model))
            x = jax.random.uniform(key_free, (self.chains, target.dim), minval=-1.0, maxval=1.0)
            if set(target.program.free) <= set(data):
                chosen = jax.random.randint(key_free, (self.chains,), 0, rows(data))
                starts = {name: values[chosen] for name, values in data.items() if name in target.program.free}
                x = jax.vmap(lambda datum: target.program.unconstrain(target.leaves, target.hoisted, datum))(starts)
            state["model"] = self._settle(key_free, lambda _: target, x, None)
        if hidden:
            dim = _target(_given(model, {name: values[0] for name, values in data.items()})).dim
            x = jax.random.uniform(key_posterior, (rows(data), dim), minval=-1.0, maxval=1.0)
            state["posterior"] = self._settle(key_posterior, lambda datum: _target(_given(model, datum)), x, data)
        return state

    def loss(self, key: Array, model: Any, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        batch, chosen = {n: v for n, v in batch.items() if n != ROWS}, batch.get(ROWS)
        if self.sampler is None:
            return -jnp.mean(_densities(model, batch)), (state, {})
        key_free, key_posterior = jax.random.split(key)
        still, state, metrics = stopped(model), dict(state), {}
        real = batch
        if "posterior" in state:
            target = lambda datum: _target(_given(still, datum))  # noqa: E731
            x, acceptance, state["posterior"] = self._posterior(key_posterior, target, batch, chosen, state)
            metrics["posterior_acceptance"] = acceptance
            real = jax.vmap(lambda x, datum: {**_values(target(datum), x), **datum})(x, batch)
        loss = -jnp.mean(_densities(model, real))
        if "model" in state:
            essential = _target(_essential(still))
            chains = self._move(key_free, lambda _: essential, state["model"], None, self.steps)
            state["model"], metrics["acceptance"] = self._tuned(chains, TUNING), chains.acceptance
            fake = jax.vmap(lambda x: _values(essential, x))(chains.x)
            loss = loss + jnp.mean(_densities(_essential(model), fake))
        return loss, (state, metrics)

    def _posterior(self, key: Array, target: Any, batch: Batch, chosen: Any, state: Any) -> Any:
        """Hidden variables of the data in a batch, moved; and the store of all of them."""
        store = state["posterior"]
        held = store if chosen is None else store._replace(x=store.x[chosen])
        moved = self._move(key, target, held, batch, self.steps)
        tuned = self._tuned(moved, TUNING)
        return moved.x, moved.acceptance, tuned if chosen is None else tuned._replace(x=store.x.at[chosen].set(moved.x))

    def _settle(self, key: Array, target: Any, x: Array, data: Any) -> "Chains":
        """Chains after the warm-up, in which their step is tuned."""
        first = jnp.asarray(1.0 if self._rule is None else setting(self.sampler, "step_size"), x.dtype)
        chains = Chains(x, jnp.log(first), jnp.ones((), x.dtype))
        rounds = -(-self.warmup // WARMUP_STEPS)
        one = lambda i, c: self._tuned(self._move(jax.random.fold_in(key, i), target, c, data, WARMUP_STEPS), 1.0)  # noqa: E731
        return jax.jit(lambda c: jax.lax.fori_loop(0, rounds, one, c))(chains)

    def _move(self, key: Array, target: Any, chains: "Chains", data: Any, steps: int) -> "Chains":
        """Chains side by side, one per row; `target` gives the density of a row from its datum."""
        keys = jax.random.split(key, chains.x.shape[0])
        sampler = self.sampler if self._rule is None else replace(self.sampler, step_size=jnp.exp(chains.log_step))
        one = lambda key, x, datum: transitions(sampler, key, target(datum), x, steps)  # noqa: E731
        x, acceptance = jax.vmap(one, in_axes=(0, 0, None if data is None else 0))(keys, chains.x, data)
        return Chains(x, chains.log_step, jnp.mean(acceptance))

    @property
    def _rule(self) -> StepSize | None:
        """The adapter of the sampler that tunes its step, when it has one."""
        rules = adapters_of(self.sampler)  # ty: ignore[invalid-argument-type]
        return next((rule for rule in rules if isinstance(rule, StepSize)), None)

    def _tuned(self, chains: "Chains", rate: float) -> "Chains":
        """The step moved towards the acceptance rate that the sampler's own adapter aims at."""
        gap = 0.0 if self._rule is None else chains.acceptance - self._rule.target_accept
        return chains._replace(log_step=chains.log_step + rate * gap)


class Chains(NamedTuple):
    """Positions of chains, the logarithm of their common step, and the acceptance rate of the last move."""

    x: Float[Array, "chains dim"]
    log_step: Float[Array, ""]
    acceptance: Float[Array, ""]


def _given(model: Any, datum: Any) -> Any:
    """The model with a datum observed; values were checked by `gm.fit` and may be traced."""
    return dataclasses.replace(model, observed={**model.observed, **datum})


def _essential(model: Any) -> Any:
    """The model without normalised conditionals that nothing else reads: their expected gradient is zero."""
    while True:
        read = [name for factor in model.factors for name in factor.parents]
        made = [name for factor in model.factors for name in factor.children]
        ends = [
            factor
            for factor in model.factors
            if isinstance(factor, Conditional)
            and factor.normalized
            and not any(name in read or name in model.observed or made.count(name) > 1 for name in factor.children)
        ]
        if not ends:
            return model
        gone = {name for factor in ends for name in factor.children}
        model = dataclasses.replace(
            model,
            factors=tuple(factor for factor in model.factors if not set(factor.children) & gone),
            declared=tuple(pair for pair in model.declared if pair[0] not in gone),
        )


def _target(model: Any) -> FlatTarget:
    program, leaves = program_of(model)
    return FlatTarget(program, leaves, program.hoist(leaves))


def _values(target: FlatTarget, x: Array) -> Any:
    values = target.program.constrain(target.leaves, target.hoisted, x)
    return {name: values[name] for name in target.program.free}


def _densities(model: Any, values: Any) -> Array:
    program, leaves = program_of(model)
    hoisted = program.hoist(leaves)
    return jax.vmap(lambda point: program.log_density(leaves, hoisted, point))(values)
