r"""The discrete Langevin proposal: all elements are drawn at once, each by its own first differences.

$$q(x' \mid x) = \prod_i \operatorname{softmax}_{v}\Big(\frac{d_{iv}(x)}{2} - \frac{|v - x_i|^2}{2 \alpha}\Big)
\text{ at } v = x_i',$$

accepted by Hastings' ratio. It is the Langevin proposal of step $\alpha$ restricted to the values there are. Values
that are names have distance one from each other, numbers (`ordered`) that of their places in the row of values. Without
the correction the law differs from the target by what the differences do not see: how changes of two elements interact.

Reference:
    Zhang, Liu and Liu, *A Langevin-like sampler for discrete distributions*, 2022, arXiv:2206.09914; Sun, Dai and
    Schuurmans, *Optimal scaling for locally balanced proposals in discrete spaces*, 2022, arXiv:2209.08183 (acceptance
    0.574).
"""

from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.step_size import StepSize
from gmdsl.core.random.threefry import split
from gmdsl.inference.kernels.label_point import (
    LabelPoint,
    changed,
    check_informed,
    is_at,
    label_point,
    log_density_ratio,
    taken,
    values_of,
)  # fmt: skip
from gmdsl.inference.kernels.metropolis import metropolis
from gmdsl.inference.sampler import Sampler, check_step
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target


class DiscreteLangevin(Sampler):
    r"""Langevin steps of discrete variables, with or without Metropolis' correction.

    A step costs one gradient and may change every element. A density of which no differences can be taken is refused.

    Attributes:
        step_size: the $\alpha$ of the equation; from about 0.2 on steps change something.
        ordered: whether values are numbers, of which near ones are alike; else they are names.
        corrected: whether a step is accepted or rejected, so that the law is exact.
        target_accept: acceptance rate that warm-up aims at; without a correction nothing is tuned.
    """

    step_size: float = 0.3
    ordered: bool = eqx.field(static=True, default=False)
    corrected: bool = eqx.field(static=True, default=True)
    target_accept: float = 0.574

    def __check_init__(self) -> None:
        check_step(self)

    @property
    def adapts(self) -> Any:
        return (StepSize(self.target_accept),) if self.corrected else ()

    @property
    def reversible(self) -> bool:
        return self.corrected

    @property
    def bias(self) -> str | None:
        return None if self.corrected else "uncorrected: changes of several elements at once are not balanced"

    def bound(self, density: Any) -> Self:
        check_informed(self, density)
        return self

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> LabelPoint:
        del key
        return label_point(target, x)

    def position(self, state: LabelPoint) -> Float[Array, " dim"]:
        return state.position

    def step(self, key: Array, target: Target, state: LabelPoint) -> tuple[LabelPoint, Stats]:
        key_move, key_accept = split(key)
        x, (values, _) = state.position, values_of(target)
        there = self._log_probabilities(target, state)
        number = jax.random.categorical(key_move, there, axis=1)
        moved = jnp.take_along_axis(values, number[:, None], axis=1)[:, 0].astype(x.dtype)
        proposal = label_point(target, moved)
        if self.corrected:
            back = self._log_probabilities(target, proposal)
            log_q = jnp.sum(taken(back, is_at(x, target)) - taken(there, is_at(moved, target)))
            log_ratio = log_density_ratio(proposal.log_density, state.log_density) + log_q
            new, stats = metropolis(key_accept, state, proposal, log_ratio)
        else:
            stays = jnp.isnan(proposal.log_density) | (proposal.log_density == -jnp.inf)
            new = jax.tree.map(lambda a, b: jnp.where(stays, a, b), state, proposal)
            stats = {"nan_evaluations": jnp.isnan(proposal.log_density)}
        return new, {**stats, "changed": changed(x, new.position), "lp": new.log_density}

    def _log_probabilities(self, target: Target, point: LabelPoint) -> Float[Array, "dim most"]:
        """Log of the probability of each value of each element."""
        _, known = values_of(target)
        at = is_at(point.position, target)
        number = jnp.arange(at.shape[1])
        apart = (number - jnp.argmax(at, axis=1)[:, None]) ** 2 if self.ordered else ~at
        cost = jnp.where(at, 0.0, apart / (2.0 * self.step_size))
        return jax.nn.log_softmax(jnp.where(known, 0.5 * point.differences - cost, -jnp.inf), axis=1)
