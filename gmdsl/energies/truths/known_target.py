"""A target and what is known of it: the model, its normalising constant, its moments, exact draws, a law to start from.

Everything that is stated is exact up to rounding: closed forms, and sums and quadratures in double precision whose
error is below 1e-9. What is not known is None.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Array

from gmdsl.models.model import Model


@dataclass(frozen=True)
class KnownTarget:
    """A model with the truths that a sampler of it can be held against.

    Attributes:
        model: the target; what it is, its maker says. For `gm.sample`, `gm.temper`, `gm.compile`...
        log_z: the logarithm of its normalising constant; None where it is not known.
        mean: the mean of each element of each variable, by name; None where it is not known, or does not exist.
        variance: the same for variances.
        draw: exact and independent draws, `draw(key, count)`: arrays by name with the draws along the first axis; None
            where nothing draws exactly. It is host code, not to be traced.
        reference: a normalised law of the same variables and spaces that can be drawn from and covers the target, so
            that `gm.temper(target.model, target.reference)` is a path to it; None where there is none.
    """

    model: Model
    log_z: float | None = None
    mean: Mapping[str, np.ndarray] | None = field(repr=False, default=None)
    variance: Mapping[str, np.ndarray] | None = field(repr=False, default=None)
    draw: Callable[[Array, int], dict[str, Any]] | None = field(repr=False, default=None)
    reference: Model | None = field(repr=False, default=None)

    def __repr__(self) -> str:
        exact = [name for name in ("mean", "variance", "draw") if getattr(self, name) is not None]
        constant = "log Z unknown" if self.log_z is None else f"log Z {self.log_z:.6g}"
        told = ", ".join([constant, *(f"exact {name}" for name in exact)])
        return f"KnownTarget: {told}{', with a reference' if self.reference is not None else ''}\n{self.model!r}"


def draw_ancestrally(model: Model) -> Callable[[Array, int], dict[str, Any]]:
    """The exact draws of a directed model, in the form of `KnownTarget.draw`.

    Args:
        model: one that can be drawn from by its own `sample`.

    >>> import jax, gmdsl as gm, numpyro.distributions as dist
    >>> draw = draw_ancestrally(gm.joint(x=dist.Normal(0.0, 1.0).expand([3])))
    >>> draw(jax.random.key(0), 5)["x"].shape
    (5, 3)
    """

    def draw(key: Array, count: int) -> dict[str, Any]:
        return model.sample(key, count)

    return draw
