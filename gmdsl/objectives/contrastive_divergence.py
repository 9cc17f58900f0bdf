r"""Contrastive divergence: the gradient of maximum likelihood with a few steps of a sampler for $E_{p_\theta}$.

$\partial_\theta L = E_{data}[\partial_\theta f_\theta] - E_{p_\theta}[\partial_\theta f_\theta]$ with $f = -E$. The
second expectation is taken over chains that run `steps` transitions from the data, or that go on
from the last update when `persistent`; a `replay` buffer keeps more of them than move at once. With few
steps the fixed point is not the maximum likelihood estimate, and with a biased sampler it is not even as the number
of data grows.

Reference:
    Hinton, *Training products of experts by minimizing contrastive divergence*, 2002; Tieleman,
    *Training restricted Boltzmann machines using approximations to the likelihood gradient*, 2008; Du, Mordatch,
    *Implicit generation and modeling with energy-based models*, 2019, arXiv:1903.08689 (replay).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import stopped
from gmdsl.inference.kernels.transitions import transitions
from gmdsl.inference.sampler import Sampler
from gmdsl.learning.chains import bound, picked
from gmdsl.learning.inputs import conditional, first, inputs_of, variables_of
from gmdsl.learning.objective import Batch, Data, Metrics, Objective, check_model, check_observed, rows
from gmdsl.models.model import Model


class ContrastiveDivergence(Objective):
    """Energies of the data against energies of short chains.

    Attributes:
        sampler: moves the chains; its settings are used as they are, without adaptation.
        steps: transitions per update.
        persistent: whether chains go on from where an earlier update left them.
        chains: how many persistent chains move per update; with inputs one per datum, at the inputs of that datum.
        replay: how many persistent chains are kept, of which `chains` are picked at random for each update; 0 keeps
            just those that move.
        restart: share of the picked chains that begin anew from data in each update.
    """

    sampler: Sampler
    steps: int = 20
    persistent: bool = False
    chains: int = 100
    replay: int = 0
    restart: float = 0.0

    def __check_init__(self) -> None:
        if self.steps < 1 or self.chains < 1:
            raise SpecError(f"ContrastiveDivergence(steps={self.steps}, chains={self.chains}): both are at least 1.")
        if self.replay and not self.persistent:
            raise SpecError(f"ContrastiveDivergence(replay={self.replay}): a buffer is of chains that persist.")
        if self.replay and self.replay < self.chains:
            raise SpecError(
                f"ContrastiveDivergence(replay={self.replay}, chains={self.chains}): the buffer holds the chains that"
                " move and more. Take a larger replay."
            )
        if not 0.0 <= self.restart <= 1.0:
            raise SpecError(f"ContrastiveDivergence(restart={self.restart}): a share between 0 and 1 is needed.")

    @property
    def bias(self) -> str:
        start = "that persist" if self.persistent else "from the data"
        text = f"contrastive divergence, chains of {self.steps} steps {start}: the fixed point is not the maximum"
        text += "-likelihood estimate"
        return f"{text}; the sampler is biased, {self.sampler.bias}" if self.sampler.bias else text

    @property
    def comparable(self) -> bool:
        return False

    def check(self, model: Any, data: Data, held_out: Data | None = None) -> None:
        check_model(self, model)
        check_observed(self, model, data)
        if model.inputs and self.persistent:
            self._check_conditional(model, held_out)
        try:
            bound(self.sampler, conditional(model)(first(data)))
        except SpecError as error:
            raise SpecError(f"fit(..., ContrastiveDivergence(...)): {error}") from None

    def _check_conditional(self, model: Model, held_out: Data | None) -> None:
        """Refuses what a store of one chain per datum cannot do."""
        names = ", ".join(name for name, _ in model.inputs)
        if self.replay:
            raise SpecError(
                f"fit(..., ContrastiveDivergence(replay={self.replay})): the density depends on {names}, and each datum"
                " keeps the chain at its own inputs. Leave replay out."
            )
        if held_out is not None:
            raise SpecError(
                f"fit(held_out=...): the density depends on {names}, and persistent chains are of the data that is"
                " learned from. Leave held_out or persistent=True out."
            )

    def init(self, key: Array, model: Model, data: Data) -> Any:
        if not self.persistent:
            return ()
        if model.inputs:
            return _positions(model, data)
        chosen = jax.random.randint(key, (self.replay or self.chains,), 0, rows(data))
        return _positions(model, {name: jnp.asarray(values)[chosen] for name, values in data.items()})

    def loss(self, key: Array, model: Model, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        key_pick, key_move = jax.random.split(key)
        density = conditional(model)
        still = conditional(stopped(model))
        chosen, starts = self._starts(key_pick, stopped(model), batch, state)
        keys = jax.random.split(key_move, starts.shape[0])
        sampler = bound(self.sampler, density(first(batch)))
        given, axis = (inputs_of(model, batch), 0) if model.inputs else ({}, None)

        def move(key: Array, x: Array, at: Any) -> tuple[Array, Array, Array]:
            target = still(at)
            end, acceptance = transitions(sampler, key, target, x, self.steps)
            return end, density(at).log_density_at(target.free_values(end)), acceptance

        ends, fake, acceptance = jax.vmap(move, in_axes=(0, 0, axis))(keys, starts, given)
        real = jax.vmap(lambda row: density(row).log_density_at(variables_of(model, row)))(dict(batch))
        real, fake = jnp.mean(real), jnp.mean(fake)
        metrics = {"log_density_data": real, "log_density_chains": fake, "acceptance": jnp.mean(acceptance)}
        return fake - real, (state if chosen is None else state.at[chosen].set(ends), metrics)

    def _starts(self, key: Array, still: Model, batch: Batch, state: Any) -> tuple[Any, Float[Array, "chains dim"]]:
        """Where chains start, and which of the store they are; None where none is kept."""
        fresh = _positions(still, batch)
        if not self.persistent:
            return None, fresh
        if not still.inputs:
            return picked(key, fresh, state, self.chains, self.restart)
        chosen = jnp.arange(rows(batch)) if batch.index is None else batch.index
        anew = jax.random.bernoulli(key, self.restart, (rows(batch), 1))
        return chosen, jnp.where(anew, fresh, state[chosen])


def _positions(model: Model, data: Data) -> Float[Array, "rows dim"]:
    """Flat vectors of data, one per row."""
    density = conditional(model)
    return jax.vmap(lambda row: density(row).unconstrain(variables_of(model, row)))(dict(data))
