r"""Contrastive divergence: the gradient of maximum likelihood with a few steps of a sampler for $E_{p_\theta}$.

$\partial_\theta L = E_{data}[\partial_\theta f_\theta] - E_{p_\theta}[\partial_\theta f_\theta]$ with $f = -E$. The
second expectation is taken over chains that run `steps` transitions from the data, or that go on
from the last update when `persistent`. With few steps the fixed point is not the maximum likelihood
estimate, and with a biased sampler it is not even as the number of data grows.

Reference:
    Hinton, *Training products of experts by minimizing contrastive divergence*, 2002; Tieleman,
    *Training restricted Boltzmann machines using approximations to the likelihood gradient*, 2008.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.program import FlatTarget, split
from gmdsl.core.adapter import adapters_of
from gmdsl.core.errors import SpecError
from gmdsl.core.objective import Batch, Metrics, Objective, rows
from gmdsl.core.sampler import Sampler


class ContrastiveDivergence(Objective):
    """Energies of the data against energies of short chains.

    Attributes:
        sampler: moves the chains; its settings are used as they are, without adaptation.
        steps: transitions per update.
        persistent: whether chains go on from where the last update left them.
        chains: how many persistent chains; by default as many as data in a batch.
    """

    sampler: Sampler
    steps: int = 20
    persistent: bool = False
    chains: int = 100

    def __check_init__(self) -> None:
        if self.steps < 1 or self.chains < 1:
            raise SpecError(f"ContrastiveDivergence(steps={self.steps}, chains={self.chains}): both are at least 1.")

    def check(self, model: Any, data: Batch) -> None:
        missing = [name for name in model.free if name not in data]
        if missing:
            raise SpecError(f"fit(..., ContrastiveDivergence(...)): {missing[0]} has no data. Give data for it.")

    def init(self, key: Array, model: Any, data: Batch) -> Any:
        if not self.persistent:
            return ()
        program, leaves = split(model)
        hoisted = program.hoist(leaves)
        chosen = jax.random.randint(key, (self.chains,), 0, rows(data))
        starts = {name: jnp.asarray(values)[chosen] for name, values in data.items()}
        return jax.vmap(lambda datum: program.unconstrain(leaves, hoisted, datum))(starts)

    def loss(self, key: Array, model: Any, batch: Batch, state: Any) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        program, leaves = split(model)
        hoisted = program.hoist(leaves)
        still = jax.lax.stop_gradient((leaves, hoisted))
        encode = jax.vmap(lambda datum: program.unconstrain(*still, datum))
        starts = state if self.persistent else encode(batch)
        keys = jax.random.split(key, starts.shape[0])
        ends = jax.vmap(lambda k, x: self._run(k, FlatTarget(program, *still), x))(keys, starts)
        synthesised = jax.vmap(lambda x: program.constrain(*still, x))(ends)
        synthesised = {name: synthesised[name] for name in batch}
        density = jax.vmap(lambda datum: program.log_density(leaves, hoisted, datum))
        real, fake = jnp.mean(density(batch)), jnp.mean(density(synthesised))
        metrics = {"log_density_data": real, "log_density_chains": fake}
        return fake - real, (ends if self.persistent else state, metrics)

    def _run(self, key: Array, target: FlatTarget, x: Array) -> Array:
        sampler = self.sampler
        for adapter in adapters_of(sampler):
            _, sampler = adapter.start(sampler, target.dim)
        state = sampler.init(key, target, x)
        step = lambda i, state: sampler.step(jax.random.fold_in(key, i), target, state)[0]  # noqa: E731
        return sampler.position(jax.lax.fori_loop(0, self.steps, step, state))
