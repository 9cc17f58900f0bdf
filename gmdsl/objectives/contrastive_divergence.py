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

from gmdsl.compiler.program import FlatTarget, program_of
from gmdsl.core.errors import SpecError
from gmdsl.inference.kernels.transitions import transitions
from gmdsl.inference.sampler import Sampler
from gmdsl.learning.objective import Batch, Metrics, Objective, rows


class ContrastiveDivergence(Objective):
    """Energies of the data against energies of short chains.

    Attributes:
        sampler: moves the chains; its settings are used as they are, without adaptation.
        steps: transitions per update.
        persistent: whether chains go on from where an earlier update left them.
        chains: how many persistent chains move per update.
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
    def remark(self) -> str:
        start = "that persist" if self.persistent else "from the data"
        text = f"contrastive divergence, chains of {self.steps} steps {start}: the fixed point is not the maximum"
        text += "-likelihood estimate"
        return f"{text}; the sampler is biased, {self.sampler.bias}" if self.sampler.bias else text

    def check(self, model: Any, data: Batch) -> None:
        missing = [name for name in model.free if name not in data]
        if missing:
            raise SpecError(f"fit(..., ContrastiveDivergence(...)): {missing[0]} has no data. Give data for it.")

    def init(self, key: Array, model: Any, data: Batch) -> Any:
        if not self.persistent:
            return ()
        chosen = jax.random.randint(key, (self.replay or self.chains,), 0, rows(data))
        return _encoded(_target(model), {name: jnp.asarray(values)[chosen] for name, values in data.items()})

    def loss(self, key: Array, model: Any, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        key_pick, key_move = jax.random.split(key)
        program, leaves = program_of(model)
        hoisted = program.hoist(leaves)
        still = FlatTarget(program, *jax.lax.stop_gradient((leaves, hoisted)))
        fresh = _encoded(still, batch)
        picked, starts = self._starts(key_pick, fresh, state)
        keys = jax.random.split(key_move, starts.shape[0])
        move = lambda key, x: transitions(self.sampler, key, still, x, self.steps)  # noqa: E731
        ends, acceptance = jax.vmap(move)(keys, starts)
        synthesised = jax.vmap(lambda x: program.constrain(leaves, hoisted, x))(ends)
        synthesised = jax.lax.stop_gradient({name: synthesised[name] for name in batch})
        density = jax.vmap(lambda datum: program.log_density(leaves, hoisted, datum))
        real, fake = jnp.mean(density(batch)), jnp.mean(density(synthesised))
        metrics = {"log_density_data": real, "log_density_chains": fake, "acceptance": jnp.mean(acceptance)}
        return fake - real, (state if picked is None else state.at[picked].set(ends), metrics)

    def _starts(self, key: Array, fresh: Array, state: Any) -> tuple[Array | None, Array]:
        """Which chains of the buffer move (None without one), and from where."""
        if not self.persistent:
            return None, fresh
        key_pick, key_restart, key_datum = jax.random.split(key, 3)
        picked = jnp.arange(self.chains)
        if self.replay > self.chains:
            picked = jax.random.choice(key_pick, self.replay, (self.chains,), replace=False)
        starts = state[picked]
        if self.restart > 0:
            data = fresh[jax.random.randint(key_datum, (self.chains,), 0, fresh.shape[0])]
            anew = jax.random.bernoulli(key_restart, self.restart, (self.chains, 1))
            starts = jnp.where(anew, data, starts)
        return picked, starts


def _target(model: Any) -> FlatTarget:
    program, leaves = program_of(model)
    return FlatTarget(program, leaves, program.hoist(leaves))


def _encoded(target: FlatTarget, values: Batch) -> Array:
    return jax.vmap(lambda datum: target.program.unconstrain(target.leaves, target.hoisted, datum))(values)
