r"""Censored values: beyond a bound only the bound is recorded, $y = \min(\max(x, a), b)$.

A value inside has the density of x, a value at (or beyond) a bound the mass of the tail, $F(a)$ or $1 - F(b)$. The
likelihood of Tobit regression and of survival data with a fixed end.

Reference:
    Tobin, *Estimation of relationships for limited dependent variables*, Econometrica, 1958; Klein, Moeschberger,
    *Survival Analysis*, 2003, chapter 3.
"""

from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from gmdsl.distributions.bounds import batch_shape, checked_bounds
from gmdsl.distributions.log_density import log_density
from gmdsl.distributions.log_tails import log_tails


class Censored(dist.Distribution):
    """The law of a clipped value. Made by `gm.censored`.

    Attributes:
        base_dist: the distribution before clipping.
        low: where values are clipped from below; None for nowhere.
        high: where they are clipped from above; None for nowhere.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    pytree_data_fields = ("base_dist", "low", "high")
    has_atoms = True  # mass on single points: nothing that moves along gradients can reach them

    def __init__(self, base_dist: Any, low: Any = None, high: Any = None):
        self.base_dist, self.low, self.high = base_dist, low, high
        super().__init__(batch_shape=batch_shape(base_dist, low, high))

    @property
    def support(self) -> Any:
        """That of the base: values beyond a bound count as the bound."""
        return self.base_dist.support

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Array:
        drawn = self.base_dist.expand(self.batch_shape).sample(key, sample_shape)
        return jnp.clip(drawn, self.low, self.high).astype(drawn.dtype)

    def log_prob(self, value: Any, *args: Any, **kwargs: Any) -> Array:
        found = log_density(self.base_dist, value)
        discrete = self.base_dist.support.is_discrete
        # Tails are taken at the value where it is not censored, so that infinite bounds leave no NaN in gradients.
        if self.low is not None:
            below = value <= self.low
            found = jnp.where(below, log_tails(self.base_dist, jnp.where(below, self.low, value))[0], found)
        if self.high is not None:
            above = value >= self.high
            last = jnp.ceil(self.high) - 1 if discrete else self.high  # P(X >= n) = 1 - F(n - 1)
            found = jnp.where(above, log_tails(self.base_dist, jnp.where(above, last, value))[1], found)
        return jnp.broadcast_to(found, jnp.broadcast_shapes(jnp.shape(value), self.batch_shape))


def censored(base: Any, low: Any = None, high: Any = None) -> Censored:
    """A distribution whose values are recorded as `low` or `high` where they lie beyond.

    Args:
        base: a univariate NumPyro distribution with a cdf; batch dimensions are fine, events are not.
        low: lower bound in the units of the value, a number or an array; -inf where nothing is censored.
        high: upper bound, likewise.

    Returns:
        A NumPyro distribution. `log_prob` of a value at or beyond a bound is the log mass there.

    Raises:
        SpecError: events, no cdf, no bound, bounds out of order.

    >>> import numpyro.distributions as dist
    >>> lifetime = censored(dist.Exponential(0.5), high=4.0)
    >>> lifetime.log_prob(4.0).item(), round(lifetime.log_prob(1.0).item(), 4)
    (-2.0, -1.1931)
    """
    return Censored(base, *checked_bounds("censored", base, low, high))
