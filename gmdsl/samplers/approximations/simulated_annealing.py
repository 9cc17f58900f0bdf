r"""Simulated annealing: the highest point of a density, by chains on its powers $p^\beta$ while $\beta$ grows.

At small $\beta$ the landscape is flat and a chain crosses its valleys; as $\beta$ grows, it settles where p is high.
Inverse temperatures grow geometrically, $\beta_k = \beta_0 (\beta_K / \beta_0)^{k / K}$. Several chains run side by
side; the highest point that any of them has visited is kept. Nothing has to be differentiable: discrete variables are
annealed by a kernel that moves them. With finitely many steps there is no promise that the point is the highest of all.

As for `gm.MAP` the height is that of the density in the variables as they were declared, without Jacobian.

References:
    Kirkpatrick, Gelatt, Vecchi, *Optimization by simulated annealing*, Science 220, 1983; Geman and Geman,
    *Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images*, 1984.
"""

import functools
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.adapt.population import PopulationKernel
from gmdsl.compiler.annealing import Annealing
from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.inference.generator import Generator, Prepared
from gmdsl.inference.path import check_move
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats
from gmdsl.samplers.approximations.fitting.climb import APART, check_counts, no_start
from gmdsl.samplers.approximations.fitting.labels import labels


class SimulatedAnnealing(Generator):
    r"""The highest point that annealed chains have visited: one point, not draws.

    `gm.sample(model, gm.SimulatedAnnealing(gm.MALA()))` has one draw whatever `draws` says, as `gm.MAP` has. The best
    point of each chain, and its height, are in the group `approximation`: `end` and `end_log_density`; `elsewhere` says
    which of them lie more than 0.1 below the highest. On a path chains begin at draws of its reference and follow its
    densities up to $\beta = 1$; of a model alone they begin at random points, as other chains do.

    Attributes:
        move: the kernel; `gm.Gibbs()` for discrete variables. Its step follows the acceptance rate, its metric the
            spread of all chains.
        temperatures: how many; they grow by the same factor each.
        beta_max: the last inverse temperature. Points scatter by $1 / \sqrt{\beta}$ standard deviations around a mode.
        beta_min: the first one; so small that chains cross the valleys.
        chains: how many chains run side by side.
        steps: transitions of each at each temperature.
        fitted: where the chains were best; filled by `prepare`.

    >>> import gmdsl as gm, jax.numpy as jnp
    >>> wells = gm.energy(lambda x: (x**2 - 1.0) ** 2 - 0.3 * x, x=gm.Real())  # the deeper one is at 1.035
    >>> tree = gm.sample(wells, gm.SimulatedAnnealing(gm.RandomWalk()), progress=False)
    >>> round(float(tree["posterior"]["x"].values[0, 0]), 1)
    1.0
    """

    move: Sampler
    temperatures: int = 100
    beta_max: float = 100.0
    beta_min: float = 0.01
    chains: int = 20
    steps: int = 5
    fitted: Any = None

    bias: ClassVar[str | None] = "one point, the highest that was visited: it says nothing of the spread"
    takes: ClassVar[type] = Annealing

    def __check_init__(self) -> None:
        check_counts(self, "temperatures", "chains", "steps")
        check_move("SimulatedAnnealing", self.move)
        if self.temperatures < 2 or self.chains < 2:
            name = "temperatures" if self.temperatures < 2 else "chains"
            raise SpecError(f"SimulatedAnnealing({name}={getattr(self, name)}): at least 2 are needed.")
        numbers = all(isinstance(beta, int | float) for beta in (self.beta_min, self.beta_max))
        if numbers and not 0.0 < self.beta_min < self.beta_max < np.inf:
            raise SpecError(
                f"SimulatedAnnealing(beta_min={self.beta_min}, beta_max={self.beta_max}): inverse temperatures grow,"
                " from above 0. Try 0.01 and 100."
            )

    def prepare(self, key: Array, target: Annealing, report: Any) -> "Prepared[SimulatedAnnealing]":
        del report
        if self.fitted is not None:
            return Prepared(self, self._found(target), most=1)
        moved = Density(target.model.model, target.at(jnp.ones(())))  # chains move on powers, not on the model itself
        bound = replace(self, move=self.move.bound(moved))
        x, heights = _annealed(*strip((bound, target)), key)
        best = jnp.argmax(heights)
        if not bool(jnp.isfinite(heights[best])):
            raise no_start("sample(..., SimulatedAnnealing(...))", self.chains)
        fitted = eqx.tree_at(lambda s: s.fitted, bound, (x, heights, best), is_leaf=lambda leaf: leaf is None)
        return Prepared(fitted, fitted._found(target), most=1)

    def draw(self, key: Array, target: Annealing) -> tuple[Float[Array, " dim"], Stats]:
        del key, target
        x, heights, best = self.fitted
        return x[best], {"lp": heights[best]}

    def _found(self, target: Annealing) -> dict[str, Any]:
        x, heights, best = self.fitted
        return {
            "coordinate": np.array(labels(target.coordinates)),
            "end": np.asarray(x),
            "end_log_density": np.asarray(heights),
            "elsewhere": np.asarray(heights < heights[best] - APART),
        }


@functools.partial(jax.jit, static_argnums=0)
def _annealed(
    skeleton: Skeleton, arrays: Any, key: Array
) -> tuple[Float[Array, "chains dim"], Float[Array, " chains"]]:
    """The highest point of each chain, and its height."""
    settings, target = skeleton.fill(arrays)
    key_start, key_move = jax.random.split(key)
    kernel, chains = PopulationKernel(settings.move), settings.chains
    heights_of = jax.vmap(target.height)
    x = jax.vmap(target.start)(jax.random.split(key_start, chains))
    dtype = jnp.zeros(0).dtype
    x = x.astype(dtype)
    growth = jnp.log(settings.beta_max / settings.beta_min)
    betas = settings.beta_min * jnp.exp(growth * jnp.linspace(0.0, 1.0, settings.temperatures, dtype=dtype))

    def stage(at: Any, now: Any) -> Any:
        x, tuning, best, heights = at
        number, beta = now
        tuning = kernel.scaled(tuning, x, jnp.zeros(chains, dtype))
        moved = kernel.moved(jax.random.fold_in(key_move, number), target.at(beta), tuning, x, settings.steps)
        found = jax.vmap(heights_of)(moved.path)
        step = jnp.argmax(found, axis=0)
        highest = jnp.take_along_axis(found, step[None], axis=0)[0].astype(heights.dtype)
        there = jnp.take_along_axis(moved.path, step[None, :, None], axis=0)[0]
        better = highest > heights
        best = jnp.where(better[:, None], there, best)
        return (moved.x, moved.tuning, best, jnp.where(better, highest, heights)), None

    begin = (x, kernel.start(target.dim, dtype), x, heights_of(x).astype(dtype))
    (_, _, best, heights), _ = jax.lax.scan(stage, begin, (jnp.arange(settings.temperatures), betas))
    return best, heights
