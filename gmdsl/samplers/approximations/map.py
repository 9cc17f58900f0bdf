r"""The mode of a posterior, $\arg\max_\theta p(\theta \mid y)$, by L-BFGS from several starts.

A mode depends on the coordinates: moving a variable to the real line multiplies the density by a Jacobian. Without
it (the default, as in Stan's `optimize`) this is the mode in the variables as they were declared, which is the maximum
a posteriori estimate of textbooks, and the maximum-likelihood estimate under flat priors. With it, it is the mode of
the density that chains and the Laplace approximation see.

Reference:
    Nocedal and Wright, *Numerical Optimization*, 2006; Carpenter, *Stan reference manual*, chapter on optimisation.
"""

import functools
from typing import Any, ClassVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.inference.generator import Generator, Prepared
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target
from gmdsl.samplers.approximations.fitting.climb import Climb, check_counts, climb, elsewhere, highest, no_start, starts
from gmdsl.samplers.approximations.fitting.labels import labels, largest


class MAP(Generator):
    """The highest mode that was found: one point, not draws.

    `gm.sample(model, gm.MAP())` has one draw whatever `draws` says. Whether all starts ended there is in the group
    `approximation` of the tree, and in `gm.check(tree)`.

    Attributes:
        jacobian: whether to include the Jacobian of the map to unconstrained coordinates.
        starts: climbs, from random points.
        steps: L-BFGS steps of a climb at most.
        fitted: where the climbs ended; filled by `prepare`.
    """

    jacobian: bool = False
    starts: int = 8
    steps: int = 500
    fitted: Any = None

    bias: ClassVar[str | None] = "one point, the highest mode that was found: it says nothing of the spread"

    def __check_init__(self) -> None:
        check_counts(self, "starts", "steps")

    def prepare(self, key: Array, target: Any, report: Any) -> "Prepared[MAP]":
        del report
        if self.fitted is not None:
            return Prepared(self, self._found(target), most=1)
        operation = f"sample(..., {type(self).__name__}())"
        some, ends, best, apart = _climb_all(*strip((self, target)), key)
        if not bool(some):
            raise no_start(operation, self.starts)
        end = jax.tree.map(lambda a: a[best], ends)
        if not bool(end.arrived):
            raise SpecError(
                f"{operation}: no mode was found: after {int(end.count) - 1} steps the log-density is"
                f" {float(end.log_density):.5g} and still rises, along {largest(target, end.x)}. Bound it by a prior,"
                " or raise steps; a density without a mode is for gm.NUTS."
            )
        fitted = eqx.tree_at(lambda s: s.fitted, self, (end.x, ends, apart), is_leaf=lambda leaf: leaf is None)
        return Prepared(fitted, fitted._found(target), most=1)

    def draw(self, key: Array, target: Any) -> tuple[Float[Array, " dim"], Stats]:
        del key
        x = self.fitted[0]
        return x, {"lp": _climbed_on(self, target).log_density(x)}

    def _found(self, target: Any) -> dict[str, Any]:
        _, ends, apart = self.fitted
        return {
            "coordinate": np.array(labels(target)),
            "end": np.asarray(ends.x),
            "end_log_density": np.asarray(ends.log_density),
            "elsewhere": np.asarray(apart),
        }


class Unadjusted(Target):
    """The density of a model in its declared variables, without Jacobian, as a function of the flat vector."""

    flat: FlatTarget

    @property
    def dim(self) -> int:
        return self.flat.dim

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return self.flat.log_density_at(self.flat.free_values(x))


def _climbed_on(settings: MAP, target: Any) -> Target:
    return target if settings.jacobian else Unadjusted(target)


@functools.partial(jax.jit, static_argnums=0)
def _climb_all(skeleton: Skeleton, arrays: Any, key: Array) -> tuple[Array, Climb, Array, Array]:
    """Whether there is a start, where the climbs ended, which is the highest, and which ended elsewhere."""
    settings, target = skeleton.fill(arrays)
    target = _climbed_on(settings, target)
    x, some = starts(key, target, settings.starts)
    ends = jax.vmap(lambda x: climb(target.log_density, x, settings.steps))(x)
    best = highest(ends)
    return some, ends, best, elsewhere(target.log_density, ends, best)
