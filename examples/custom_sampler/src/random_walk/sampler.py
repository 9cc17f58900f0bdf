r"""Random-walk Metropolis: $x' = x + \epsilon z$ with normal $z$ is accepted with probability $\min(1, p(x') / p(x))$.

Reference:
    Metropolis et al., *Equation of State Calculations by Fast Computing Machines*, 1953, doi:10.1063/1.1699114.
"""

import jax
from jaxtyping import Array, Float

import gmdsl as gm


class RandomWalk(gm.Sampler):
    """Moves the flat, unconstrained vector by normal steps.

    Attributes:
        step_size: standard deviation of a step in each coordinate; tuned during warm-up.
    """

    step_size: float = 0.5
    adapts = gm.adapt.StepSize(target_accept=0.234)

    def step(
        self, key: Array, target: gm.Target, x: Float[Array, " dim"]
    ) -> tuple[Float[Array, " dim"], dict[str, Array]]:
        """One transition."""
        key_move, key_accept = jax.random.split(key)
        proposal = x + self.step_size * jax.random.normal(key_move, x.shape)
        log_ratio = target.log_density(proposal) - target.log_density(x)
        return gm.metropolis(key_accept, x, proposal, log_ratio)
