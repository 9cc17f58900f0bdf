r"""The length over which a direction is forgotten, from the size of the target: $L = \sqrt{\sum_i \mathrm{Var}(x_i)}$.

Variances are those of the draws of a warm-up window, in the units of the sampler's metric, where they are near 1 and
$L$ near $\sqrt d$.

Reference:
    Robnik, De Luca, Silverstein and Seljak, *Microcanonical Hamiltonian Monte Carlo*, 2023, arXiv:2212.08549,
    section 5.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.adapt.welford import Moments, add, empty
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace, setting
from gmdsl.inference.adapter import Adapter
from gmdsl.inference.kernels.metric import LowRank, trace_in_units_of
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats


class Length(Adapter):
    r"""Tunes `length` to `factor` times the square root of the summed variances.

    It goes after a metric in `adapts`, so that it sees the units that the sampler will use.

    Attributes:
        factor: longer or shorter than that.

    >>> import gmdsl as gm
    >>> rule = gm.adapt.Length()
    >>> state, sampler = rule.start(gm.MCLMC(), 9)
    >>> float(sampler.length)
    3.0
    """

    factor: float = 1.0

    tunes: ClassVar[tuple[str, ...]] = ("length",)

    def __check_init__(self) -> None:
        if not self.factor > 0.0:
            raise SpecError(f"Length(factor={self.factor}): a length is above zero. Try 1.0.")

    def start(self, sampler: Sampler, dim: int) -> tuple[Moments, Sampler]:
        given = setting(sampler, "length")
        length = self.factor * jnp.sqrt(dim) if given is None else given
        mass = getattr(sampler, "inverse_mass", None)
        dense = not isinstance(mass, LowRank) and mass is not None and jnp.ndim(mass) == 2
        return empty(dim, dense), replace(sampler, length=jnp.asarray(length, jnp.result_type(float)))

    def update(
        self, state: Moments, sampler: Sampler, position: Float[Array, " dim"], score: Any, stats: Stats
    ) -> tuple[Moments, Sampler]:
        del score
        inside, end = stats.get("warmup_window", False), stats.get("warmup_window_end", False)
        state = jax.tree.map(lambda a, b: jnp.where(inside, a, b), add(state, position), state)
        old = setting(sampler, "length")
        mass = getattr(sampler, "inverse_mass", None)
        total = trace_in_units_of(mass, state.scatter) / jnp.maximum(state.count - 1.0, 1.0)
        usable = end & (state.count > 1.0) & (total > 0.0) & jnp.isfinite(total)
        length = jnp.where(usable, self.factor * jnp.sqrt(total), old).astype(old.dtype)
        return jax.tree.map(lambda leaf: jnp.where(end, 0.0, leaf), state), replace(sampler, length=length)

    def finish(self, state: Moments, sampler: Sampler) -> Sampler:
        return sampler
