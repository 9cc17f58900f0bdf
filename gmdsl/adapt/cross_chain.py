"""One adaptation for all chains: what they have seen is pooled, and they move with the same settings.

Many short chains learn in a few steps what one chain learns in a long warm-up. The price is that they must run side by
side, step by step. Between chains that have not yet met, pooled variances are too large; they shrink as the chains do.

Reference:
    Hoffman, Radul and Sountsov, *An adaptive-MCMC scheme for setting trajectory lengths in Hamiltonian Monte Carlo*,
    AISTATS 2021, section 4.
"""

from typing import Any, ClassVar

from jaxtyping import Array, Float

from gmdsl.core.across import all_chains
from gmdsl.core.adapter import Adapter
from gmdsl.core.sampler import Sampler, Stats
from gmdsl.core.tree import setting


class CrossChain(Adapter):
    """Tunes all chains together by a rule that would tune each on its own.

    Attributes:
        rule: any adapter with `update_all`, such as `StepSize`, `DiagonalMetric`, `DenseMetric` or `LowRankMetric`.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    >>> sampler = gm.HMC(metric=gm.adapt.CrossChain(gm.adapt.DenseMetric()))
    >>> tree = gm.sample(bowl, sampler, chains=8, draws=10, warmup=50, progress=False)
    >>> tree["posterior"]["x"].shape
    (8, 10, 2)
    """

    rule: Adapter

    chains: ClassVar[int] = 2

    @property
    def tunes(self) -> tuple[str, ...]:  # ty: ignore[incompatible-property-override]
        return self.rule.tunes

    @property
    def needs(self) -> tuple[str, ...]:  # ty: ignore[incompatible-property-override]
        return self.rule.needs

    @property
    def target_accept(self) -> float:
        """That of the rule, where it aims at an acceptance rate."""
        return setting(self.rule, "target_accept")

    def start(self, sampler: Sampler, dim: int) -> tuple[Any, Sampler]:
        return self.rule.start(sampler, dim)

    def update(
        self, state: Any, sampler: Sampler, position: Float[Array, " dim"], score: Any, stats: Stats
    ) -> tuple[Any, Sampler]:
        pooled = all_chains((position, score, {name: stats[name] for name in self.needs}))
        flags = {name: value for name, value in stats.items() if name.startswith("warmup_")}
        return self.rule.update_all(state, sampler, pooled[0], pooled[1], {**pooled[2], **flags})

    def finish(self, state: Any, sampler: Sampler) -> Sampler:
        return self.rule.finish(state, sampler)
