"""The No-U-Turn sampler: HMC that doubles its trajectory until it turns back.

The tree is NumPyro's iterative one (multinomial sampling along the trajectory, generalised U-turn
criterion); state, adaptation and loop are gmdsl's.

Reference:
    Hoffman and Gelman, *The No-U-Turn Sampler*, JMLR 15, 2014; Betancourt, *A conceptual introduction
    to Hamiltonian Monte Carlo*, 2017; Phan, Pradhan and Jankowiak, *Composable effects for flexible and
    accelerated probabilistic programming in NumPyro*, 2019 (the iterative tree).
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmdsl.adapt.metric import DiagonalMetric
from gmdsl.adapt.step_size import StepSize
from gmdsl.core.adapter import Adapter
from gmdsl.core.density import Target
from gmdsl.core.errors import SpecError
from gmdsl.core.hamiltonian import leapfrog
from gmdsl.core.metric import kinetic, root
from gmdsl.core.point import ScoredPoint, is_nan, scored_point
from gmdsl.core.sampler import Sampler, Stats, check_step


class NUTS(Sampler):
    """The No-U-Turn sampler.

    Attributes:
        step_size: time of one leapfrog step before warm-up.
        max_tree_depth: a trajectory has at most 2 to this power leapfrog steps.
        target_accept: acceptance rate that warm-up aims at; raise it towards 1 against divergences.
        inverse_mass: variances (or covariance) of the target; estimated when None.
        metric: the rule that estimates it; `gm.adapt.DenseMetric()` for correlated targets.
    """

    step_size: float = 0.5
    max_tree_depth: int = 10
    target_accept: float = 0.8
    inverse_mass: Any = None
    metric: Adapter = DiagonalMetric()

    lockstep: ClassVar[bool] = False

    def __check_init__(self) -> None:
        check_step(self)
        if self.max_tree_depth < 1:
            raise SpecError(f"NUTS(max_tree_depth={self.max_tree_depth}): at least 1 is needed; 10 is usual.")

    @property
    def adapts(self) -> Any:  # ty: ignore[incompatible-property-override]
        return (self.metric, StepSize(self.target_accept))

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> ScoredPoint:
        return scored_point(target, x)

    def position(self, state: ScoredPoint) -> Float[Array, " dim"]:
        return state.position

    def step(self, key: Array, target: Target, state: ScoredPoint) -> tuple[ScoredPoint, Stats]:
        from numpyro.infer.hmc_util import IntegratorState, build_tree

        key_momentum, key_tree = jax.random.split(key)
        scales = root(self.inverse_mass)
        momentum = jax.random.normal(key_momentum, state.position.shape, state.position.dtype)
        start = IntegratorState(state.position, momentum, -state.log_density, -state.score)

        def leap(step_size: Any, _: Any, at: Any) -> IntegratorState:
            x, momentum, energy, slope = at
            point, momentum = leapfrog(target, scales, step_size, ScoredPoint(x, -energy, -slope), momentum)
            slope = jnp.where(is_nan(point), jnp.nan, -point.score)  # the tree ends at a NaN; its end then shows it
            return IntegratorState(point.position, momentum, -point.log_density, slope)

        tree = build_tree(
            leap, lambda _, momentum: kinetic(momentum), start, jnp.ones_like(momentum), self.step_size, key_tree,
            max_tree_depth=self.max_tree_depth,
        )  # fmt: skip
        new = ScoredPoint(tree.z_proposal, -tree.z_proposal_pe, -tree.z_proposal_grad)
        before = kinetic(momentum) - state.log_density
        right = _nan_end(tree.z_right, tree.z_right_grad)
        stats = {
            "lp": new.log_density,
            "acceptance_rate": tree.sum_accept_probs / tree.num_proposals,
            "diverging": tree.diverging,
            "nan_evaluations": tree.diverging & (_nan_end(tree.z_left, tree.z_left_grad) | right),
            "n_steps": tree.num_proposals,
            "tree_depth": tree.depth,
            "reached_max_treedepth": (tree.depth >= self.max_tree_depth) & ~tree.turning & ~tree.diverging,
            "energy": tree.z_proposal_energy,
            "energy_error": tree.z_proposal_energy - before,
        }
        return new, {name: jnp.asarray(value) for name, value in stats.items()}


def _nan_end(position: Float[Array, " dim"], slope: Float[Array, " dim"]) -> Bool[Array, ""]:
    """Whether a trajectory ended at a NaN, and not because it had flown off."""
    return jnp.isnan(slope).any() & jnp.isfinite(position).all()
