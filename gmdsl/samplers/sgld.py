r"""Stochastic gradient Langevin dynamics, $x' = x + \frac{\Delta t}{2} \hat g(x) + \sqrt{\Delta t}\, e$.

The score is estimated from n of the N rows of the data, drawn anew at each step without replacement, so a step costs
what n rows cost:

$$\hat g(x) = \nabla \log p_0(x) + \frac{N}{n} \sum_{i \in S} \nabla \log p(y_i \mid x).$$

Nothing is rejected. Beside the error of order $\Delta t$ of `gm.Langevin`, the noise of the estimate warms the
chain: on a Gaussian of precision $\lambda$ the stationary variance is

$$\frac{\Delta t + (\Delta t / 2)^2 V}{\lambda \Delta t\, (1 - \lambda \Delta t / 4)}, \qquad
V = \frac{N^2}{n} \frac{N - n}{N - 1} s^2,$$

where $s^2$ is the variance of the scores of single rows. So the excess is small when $\Delta t\, V \ll 4$: half as many
rows want half the step.

Reference:
    Welling and Teh, *Bayesian learning via stochastic gradient Langevin dynamics*, 2011; Vollmer, Zygalakis and Teh,
    *Exploration of the (non-)asymptotic bias and variance of stochastic gradient Langevin dynamics*, 2016.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.compiler.minibatch.batches import Minibatches, as_names, bound, check_batch, seen
from gmdsl.core.random.normal import standard_normal
from gmdsl.core.random.threefry import split
from gmdsl.inference.kernels.scored_point import ScoredPoint, choose, is_nan, scored_point
from gmdsl.inference.sampler import Sampler, check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class SGLD(Sampler):
    r"""Langevin dynamics with the score of a random batch of rows.

    Without `batch_size` all rows are used, and the chain is that of `gm.Langevin`. The step is constant, so all draws
    count alike.

    Attributes:
        step_size: the $\Delta t$ of the equation, in squared units of x. It is not adapted.
        batch_size: rows per step; all of them when None.
        rows: what holds the rows along its first axis: a dimension of the model's `dims`, or the names of data and
            observed values. When None, the only first dimension of what is observed.
        batches: set when a model is sampled.

    >>> import gmdsl as gm, numpy as np, numpyro.distributions as dist
    >>> model = gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(mu, 1.0).expand([1000]))
    >>> posterior = model.condition(y=np.full(1000, 0.5))
    >>> tree = gm.sample(posterior, gm.SGLD(1e-4, batch_size=50, rows="y"), draws=1000, warmup=200, progress=False)
    >>> round(float(tree["posterior"]["mu"].mean()), 1)
    0.5
    """

    step_size: float = 0.01
    batch_size: int | None = None
    rows: str | tuple[str, ...] | None = eqx.field(static=True, default=None, converter=as_names)
    batches: Minibatches | None = eqx.field(static=True, default=None)
    bias: ClassVar[str | None] = (
        "unadjusted: the stationary law differs from the target by O(step_size), more so the smaller the batches"
    )

    def __check_init__(self) -> None:
        check_step(self)
        check_batch(self)

    def bound(self, density: Any) -> "SGLD":
        return bound(self, density)

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> ScoredPoint:
        return scored_point(seen(self, key, target), x)

    def position(self, state: ScoredPoint) -> Float[Array, " dim"]:
        return state.position

    def step(self, key: Array, target: Target, state: ScoredPoint) -> tuple[ScoredPoint, Stats]:
        key_batch, key_noise = split(key)
        x = state.position
        noise = standard_normal(key_noise, x.shape, x.dtype)
        moved = x + 0.5 * self.step_size * state.score + jnp.sqrt(self.step_size) * noise
        # The next score is taken at once, from a batch of its own, so that a point without one is seen and left.
        proposal = scored_point(seen(self, key_batch, target), moved)
        lost = jnp.isnan(proposal.log_density) | jnp.isnan(proposal.score).any()
        new = choose(lost, state, proposal)
        stats = {"diverging": lost | ~jnp.isfinite(proposal.log_density), "nan_evaluations": is_nan(proposal)}
        return new, {"lp": new.log_density, **stats} if self.batch_size is None else stats
