r"""What it is, and the equation: $x' = x + \epsilon z$, accepted with probability $\min\{1, \pi(x') / \pi(x)\}$.

Reference:
    Author, *Title*, year.
"""

import jax
from jaxtyping import Array, Float

from gmdsl.adapt.step_size import StepSize
from gmdsl.inference.kernels.metropolis import metropolis
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class MySampler(Sampler):
    """One sentence.

    Attributes:
        step_size: its meaning and unit.
    """

    step_size: float = 0.1
    adapts = StepSize(target_accept=0.3)

    def step(self, key: Array, target: Target, state: Float[Array, " dim"]) -> tuple[Float[Array, " dim"], Stats]:
        key_move, key_accept = jax.random.split(key)
        proposal = state + self.step_size * jax.random.normal(key_move, state.shape)
        return metropolis(key_accept, state, proposal, target.log_density(proposal) - target.log_density(state))
