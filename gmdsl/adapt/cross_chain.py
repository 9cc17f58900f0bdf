"""One adaptation for all chains: what they have seen is pooled, and they move with the same settings.

Many short chains learn in a few steps what one chain learns in a long warm-up. The price is that they must run side by
side, step by step. Between chains that have not yet met, pooled variances are too large; they shrink as the chains do.

Reference:
    Hoffman, Radul and Sountsov, *An adaptive-MCMC scheme for setting trajectory lengths in Hamiltonian Monte Carlo*,
    AISTATS 2021, section 4.
"""

import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmdsl.core.pytrees.fields import replace, setting
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.collectives import all_chains, mean_over_chains
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats

MEMORY = 0.9  # of the running mean of a chain's acceptance rate
STUCK = 0.1  # a chain whose running mean is below this does not move


class Apart(NamedTuple):
    """State of a rule that tunes chains apart at first.

    Attributes:
        state: the rule's, the chain's own until they are together.
        together: whether the first window has begun.
        usual: running mean of the chain's acceptance rate.
    """

    state: Any
    together: Bool[Array, ""]
    usual: Float[Array, ""]


class CrossChain(Adapter):
    """Tunes all chains together by a rule that would tune each on its own.

    Attributes:
        rule: any adapter with `update_all`, such as `StepSize`, `DiagonalMetric`, `DenseMetric` or `LowRankMetric`.
        late: whether each chain is tuned on its own until the first window of warm-up, and all together from the mean
            of what they have learned by then. A chain that starts far out needs steps that would hold up the others,
            and with theirs it would never leave. From then on the rates of all count, except that a chain that hardly
            ever accepts speaks for all.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    >>> sampler = gm.HMC(metric=gm.adapt.CrossChain(gm.adapt.DenseMetric()))
    >>> tree = gm.sample(bowl, sampler, chains=8, draws=10, warmup=50, progress=False)
    >>> tree["posterior"]["x"].shape
    (8, 10, 2)
    """

    rule: Adapter
    late: bool = False

    chains: ClassVar[int] = 2

    @property
    def tunes(self) -> tuple[str, ...]:
        return self.rule.tunes

    @property
    def needs(self) -> tuple[str, ...]:
        return self.rule.needs

    @property
    def target_accept(self) -> float:
        """That of the rule, where it aims at an acceptance rate."""
        return setting(self.rule, "target_accept")

    def start(self, sampler: Sampler, dim: int) -> tuple[Any, Sampler]:
        state, sampler = self.rule.start(sampler, dim)
        return (Apart(state, jnp.zeros((), bool), jnp.ones(())) if self.late else state), sampler

    def update(
        self, state: Any, sampler: Sampler, position: Float[Array, " dim"], score: Any, stats: Stats
    ) -> tuple[Any, Sampler]:
        if not self.late:
            return self._together(state, sampler, position, score, stats)
        together = state.together | stats.get("warmup_window", False)
        rate = jnp.nan_to_num(stats["acceptance_rate"], nan=0.0)
        usual = (MEMORY * state.usual + (1.0 - MEMORY) * rate).astype(state.usual.dtype)
        least = all_chains(usual).min()
        met = jax.tree.map(
            lambda own: jnp.where(together & ~state.together, mean_over_chains(own), own).astype(own.dtype), state.state
        )
        alone, own = self.rule.update(met, sampler, position, score, stats)
        heard = {**stats, "acceptance_rate": jnp.where(least < STUCK, least, rate)}
        pooled, shared = self._together(met, sampler, position, score, heard)
        choose = functools.partial(jax.tree.map, lambda a, b: jnp.where(together, a, b))
        tuned = {name: choose(setting(shared, name), setting(own, name)) for name in self.tunes}
        return Apart(choose(pooled, alone), together, usual), replace(sampler, **tuned)

    def _together(self, state: Any, sampler: Sampler, position: Any, score: Any, stats: Stats) -> tuple[Any, Sampler]:
        pooled = all_chains((position, score, {name: stats[name] for name in self.needs}))
        flags = {name: value for name, value in stats.items() if name.startswith("warmup_")}
        return self.rule.update_all(state, sampler, pooled[0], pooled[1], {**pooled[2], **flags})

    def finish(self, state: Any, sampler: Sampler) -> Sampler:
        if not self.late:
            return self.rule.finish(state, sampler)
        same = jax.tree.map(lambda own: mean_over_chains(own).astype(own.dtype), state.state)  # of a warm-up too short
        return self.rule.finish(same, sampler)
