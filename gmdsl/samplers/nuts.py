"""The No-U-Turn sampler: HMC that doubles its trajectory until it turns back (`gmdsl.inference.kernels.no_u_turn`).

Reference:
    Hoffman and Gelman, *The No-U-Turn Sampler*, JMLR 15, 2014; Betancourt, *A conceptual introduction
    to Hamiltonian Monte Carlo*, 2017; Phan, Pradhan and Jankowiak, *Composable effects for flexible and
    accelerated probabilistic programming in NumPyro*, 2019 (the iterative tree).
"""

from typing import Any, ClassVar

import jax
from jaxtyping import Array

from gmdsl.adapt.metric import DiagonalMetric
from gmdsl.adapt.step_size import StepSize
from gmdsl.core.errors import SpecError
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import split
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.kernels.gradient_sampler import GradientSampler
from gmdsl.inference.kernels.metric import kinetic, root
from gmdsl.inference.kernels.no_u_turn import doubled
from gmdsl.inference.kernels.scored_point import ScoredPoint
from gmdsl.inference.sampler import check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class NUTS(GradientSampler):
    """The No-U-Turn sampler.

    Attributes:
        step_size: time of one leapfrog step before warm-up.
        max_tree_depth: a trajectory has at most 2 to this power leapfrog steps.
        target_accept: acceptance rate that warm-up aims at; raise it towards 1 against divergences. Where other
            libraries are asked for 0.8, they end near 0.88.
        inverse_mass: variances (or covariance) of the target; estimated when None.
        metric: the rule that estimates it; `gm.adapt.DenseMetric()` for correlated targets.
    """

    step_size: float = 0.5
    max_tree_depth: int = 10
    target_accept: float = 0.88
    inverse_mass: Any = None
    metric: Adapter = DiagonalMetric()

    lockstep: ClassVar[bool] = False

    reversible: ClassVar[bool] = True

    def __check_init__(self) -> None:
        check_step(self)
        if self.max_tree_depth < 1:
            raise SpecError(f"NUTS(max_tree_depth={self.max_tree_depth}): at least 1 is needed; 10 is usual.")

    @property
    def adapts(self) -> Any:
        return (self.metric, StepSize(self.target_accept))

    def step(self, key: Array, target: Target, state: ScoredPoint) -> tuple[ScoredPoint, Stats]:
        key_momentum, key_tree = split(key)
        momentum = standard_normal(key_momentum, state.position.shape, state.position.dtype)
        momentum = jax.lax.optimization_barrier(momentum)  # or XLA computes it for each of its uses
        scales, depth = root(self.inverse_mass), self.max_tree_depth
        tree = doubled(key_tree, target, scales, self.step_size, depth, state, momentum)
        (new, energy), tally = tree.drawn, tree.tally
        stats = {
            "lp": new.log_density,
            "acceptance_rate": tally.acceptance / tally.leaves,
            "diverging": tally.diverging,
            "nan_evaluations": tally.broken,
            "n_steps": tally.leaves,
            "tree_depth": tree.depth,
            "reached_max_treedepth": (tree.depth >= depth) & ~tally.turned & ~tally.diverging,
            "energy": energy,
            "energy_error": energy - (kinetic(momentum) - state.log_density),
        }
        return new, stats
