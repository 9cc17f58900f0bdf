r"""Gibbs with gradients: which element to change, and to what, is drawn by what the change would bring.

One of the elements $i$ and another value $v$ of it are proposed with probability

$$q(i, v \mid x) \propto \exp(d_{iv}(x) / 2), \qquad d_{iv}(x) \approx \log p(x \mid x_i = v) - \log p(x),$$

and accepted by Hastings' ratio. All $d_{iv}$ come from one gradient (`gmdsl.inference.kernels.label_point`). The root
of the ratio of the densities balances the proposal: where $d$ is exact and one change alters the others little, all but
every proposal is accepted. With up to $m$ changes a step, as many as a draw from $1, \ldots, m$ says (always the same
number of flips would keep a parity), the elements are drawn without replacement by these weights; the way back takes
them in the same order.

Reference:
    Grathwohl, Swersky, Hashemi, Duvenaud and Maddison, *Oops I took a gradient: scalable sampling for discrete
    distributions*, 2021, arXiv:2102.04509; Zanella, *Informed proposals for local MCMC in discrete spaces*, 2020.
"""

from numbers import Integral
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gmdsl.core.errors import SpecError
from gmdsl.core.random.threefry import split
from gmdsl.inference.kernels.label_point import (
    LabelPoint,
    changed,
    check_informed,
    is_at,
    label_point,
    log_density_ratio,
    values_of,
)  # fmt: skip
from gmdsl.inference.kernels.metropolis import metropolis
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class GibbsWithGradients(Sampler):
    """Metropolis-Hastings for discrete variables, with changes proposed where they pay.

    A step costs one gradient, whatever the number of variables; one of `gm.Gibbs` costs as many evaluations as there
    are values of variables, and draws all of them. The law is exact however rough the differences are; a density of
    which none can be taken is refused.

    Attributes:
        changes: how many elements a step changes at most; each number from 1 on is as likely.
    """

    changes: int = eqx.field(static=True, default=1)

    reversible: ClassVar[bool] = True

    def __check_init__(self) -> None:
        if not isinstance(self.changes, Integral) or isinstance(self.changes, bool) or self.changes < 1:
            raise SpecError(f"GibbsWithGradients(changes={self.changes!r}): a whole number above 0 is needed. Try 1.")

    def bound(self, density: Any) -> Self:
        check_informed(self, density)
        return self

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> LabelPoint:
        del key
        if self.changes > target.dim:
            raise SpecError(
                f"GibbsWithGradients(changes={self.changes}): there are {target.dim} elements; change no more of them."
            )
        return label_point(target, x)

    def position(self, state: LabelPoint) -> Float[Array, " dim"]:
        return state.position

    def step(self, key: Array, target: Target, state: LabelPoint) -> tuple[LabelPoint, Stats]:
        key_count, key_element, key_value, key_accept = split(key, 4)
        x, (values, _) = state.position, values_of(target)
        weights = self._weights(target, state)
        active = jnp.arange(self.changes) <= jax.random.randint(key_count, (), 0, self.changes)
        noise = jax.random.gumbel(key_element, x.shape, weights.dtype)
        _, elements = jax.lax.top_k(jax.nn.logsumexp(weights, axis=1) + noise, self.changes)
        numbers = jax.random.categorical(key_value, weights[elements], axis=1)
        old = jnp.argmax(is_at(x, target)[elements], axis=1)
        numbers = jnp.where(active, numbers, old)
        proposal = label_point(target, x.at[elements].set(values[elements, numbers].astype(x.dtype)))
        there = log_probability(weights, elements, numbers, active)
        back = log_probability(self._weights(target, proposal), elements, old, active)
        log_ratio = log_density_ratio(proposal.log_density, state.log_density) + back - there
        new, stats = metropolis(key_accept, state, proposal, log_ratio)
        return new, {**stats, "changed": changed(x, new.position), "lp": new.log_density}

    def _weights(self, target: Target, point: LabelPoint) -> Float[Array, "dim most"]:
        """Log of the weights of all changes; minus infinity where there is none."""
        _, known = values_of(target)
        return jnp.where(known & ~is_at(point.position, target), 0.5 * point.differences, -jnp.inf)


def log_probability(
    weights: Float[Array, "dim most"],
    elements: Int[Array, " changes"],
    numbers: Int[Array, " changes"],
    active: Bool[Array, " changes"],
) -> Float[Array, ""]:
    """Log of the probability that these elements are drawn in this order, with these values.

    Args:
        weights: logs of the weights of each value of each element.
        elements: unlike ones.
        numbers: of the values, one for each of the elements.
        active: which of them are drawn; the others, at the end, are not.

    >>> import jax.numpy as jnp
    >>> weights = jnp.log(jnp.array([[0.0, 1.0], [2.0, 0.0], [0.0, 5.0]]))
    >>> found = log_probability(weights, jnp.array([0, 2]), jnp.array([1, 1]), jnp.array([True, True]))
    >>> round(float(jnp.exp(found)), 4), round(1 / 8 * 5 / 7, 4)
    (0.0893, 0.0893)
    """
    total = jax.nn.logsumexp(weights, axis=1)
    drawn = jnp.zeros(total.shape, bool).at[elements].set(active)
    rest = jax.nn.logsumexp(jnp.where(drawn, -jnp.inf, total))
    own = jnp.where(active, total[elements], -jnp.inf)
    left = jnp.logaddexp(rest, jax.lax.cumlogsumexp(own, reverse=True))
    return jnp.sum(jnp.where(active, weights[elements, numbers] - left, 0.0))
