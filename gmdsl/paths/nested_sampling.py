r"""Nested sampling: live points climb the likelihood while the volume of the reference above it shrinks.

With $L = p / q$ and $X(\lambda)$ the mass of the reference q where $L > \lambda$,

$$Z = \int L \, dq = \int_0^1 L(X)\,dX.$$

Of n live points, drawn from q where $L > L^*$, the k lowest are deleted; what lies above the highest of them holds
$1 - k / n$ of the mass on average, and so the products of these factors times the likelihoods have the mean Z, exactly.
New points begin at survivors and are moved by slice sampling along random directions, shaped by the covariance of the
live points, inside the constraint.

Points of equal likelihood are told apart by a label, so a plateau shrinks like anything else: points are ordered by
likelihood, then by label, and a new label on the plateau of the threshold is that of the threshold and an exponential
variable.

Unlike a path of temperatures, the climb crosses a phase transition, where the density at one temperature has two
parts. Its cost grows with the information $H = \int \log(p / q Z)\,dp$, which is the number of nats that the volume
shrinks by, times the dimension.

References:
    Skilling, *Nested sampling for general Bayesian computation*, Bayesian Analysis 1, 2006; Handley, Hobson, Lasenby,
    *PolyChord: next-generation nested sampling*, 2015, arXiv:1506.00171 (slices); Yallup, Kroupa, Handley, *Nested
    slice sampling*, 2026, arXiv:2601.23252 (batches); Brehier, Gazeau, Goudenege, Lelievre, Rousset, *Unbiasedness of
    some generalized adaptive multilevel splitting algorithms*, 2016 (the factors); Fowlie, Handley, Su, *Nested
    sampling cross-checks using order statistics*, 2020, arXiv:2006.03371 (ranks of new points).
"""

from numbers import Integral
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gmdsl.core.errors import SpecError
from gmdsl.inference.kernels.slice_on_line import slice_on_line
from gmdsl.inference.path import PathSampler, PathTarget, Population
from gmdsl.results.estimate import LogZ
from gmdsl.results.nested import BINS, NestedRecord, nested_estimate

WIDTH = 2.0  # of the first interval of a slice, in units of its direction
STEPS_OUT = 20  # how often an interval is widened at most
CURVE = 21  # betas at which the curve of log Z is found


class NestedSampling(PathSampler):
    r"""Nested sampling from the reference of a path, such as the prior of a conditioned joint density.

    Attributes:
        live: points that are alive, at least 20; the error of log Z falls like $\sqrt{H / n}$.
        deleted: how many of them are replaced at a time, side by side; a tenth of them when None.
        steps: slices along random directions that a new point is moved by; three times the dimension, and 10 at
            least, when None.
        share: it ends when the live points hold less than this share of Z.
        nats: it ends, in doubt, when the volume has shrunk by so many.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> posterior = gm.joint(m=dist.Normal(0, 1), y=lambda m: dist.Normal(m, 0.1)).condition(y=1.0)
    >>> z = gm.log_z(posterior, gm.NestedSampling(live=200))
    >>> abs(z.log_z + 1.419) < 4 * z.standard_error  # log N(1; 0, 1.01)
    True
    """

    live: int = 500
    deleted: int | None = None
    steps: int | None = None
    share: float = 1e-3
    nats: float = 150.0

    def __check_init__(self) -> None:
        for name, least in (("live", 20), ("deleted", 1), ("steps", 1)):
            given = getattr(self, name)
            if given is None and name != "live":
                continue
            if isinstance(given, bool) or not isinstance(given, Integral) or given < least:
                raise SpecError(f"NestedSampling({name}={given!r}): a whole number of at least {least} is needed.")
        if self.deleted is not None and self.deleted > self.live // 2:
            raise SpecError(
                f"NestedSampling(live={self.live}, deleted={self.deleted}): half of the live points must stay; at most"
                f" {self.live // 2} can be deleted."
            )
        if not 0.0 < self.share < 1.0:
            raise SpecError(f"NestedSampling(share={self.share!r}): a share between 0 and 1 is needed. Try 1e-3.")
        if not 1.0 <= self.nats <= 10_000.0:
            raise SpecError(f"NestedSampling(nats={self.nats!r}): a number between 1 and 10000 is needed. Try 150.")

    @property
    def batch(self) -> int:
        """How many points are replaced at a time."""
        return max(1, self.live // 10) if self.deleted is None else self.deleted

    @property
    def batches(self) -> int:
        """How many times at most."""
        return int(np.ceil(self.nats / -np.log1p(-self.batch / self.live)))

    def bound(self, density: Any) -> Self:
        """The sampler as it is.

        Raises:
            SpecError: a variable is discrete: slices move real numbers only.
        """
        for name in density.free:
            if (space := density.spaces[name]).discrete:
                raise SpecError(
                    f"NestedSampling(...): {name} was declared {space.title}, discrete, and its slices move real"
                    f" numbers only. Sum it out, model.marginalize({name!r}), or take gm.SMC or gm.AIS with a move for"
                    " discrete variables."
                )
        return self

    def run(self, key: Array, path: PathTarget) -> Population:
        start = self._start(key, path)
        step = lambda at: self._step(jax.random.fold_in(key, at.batch), path, at)  # noqa: E731
        end = jax.lax.while_loop(lambda at: ~self._is_done(at) & (at.batch < self.batches), step, start)
        return self._population(path, end)

    def estimate(self, population: Population) -> LogZ:
        """Log Z with the error of unknown volumes, and whether it ended well."""
        return nested_estimate(population, self.live, self.batch, repr(self))

    def _start(self, key: Array, path: PathTarget) -> "_Climb":
        key_draw, key_label = jax.random.split(jax.random.fold_in(key, -1 % 2**32))
        x = jax.vmap(path.draw)(jax.random.split(key_draw, self.live))
        height = jax.vmap(path.log_ratio)(x)
        live = _ordered(_Points(x, height, jax.random.exponential(key_label, height.shape, height.dtype)))
        size = self.batches * self.batch
        dead = _Points(jnp.zeros((size, x.shape[1]), x.dtype), *(jnp.full(size, -jnp.inf, height.dtype),) * 2)
        zero = jnp.zeros((), height.dtype)
        broken = jnp.mean(jax.vmap(path.is_broken)(x).astype(height.dtype))
        return _Climb(live, dead, zero - jnp.inf, zero, jnp.int32(0), jnp.zeros(BINS, int), zero, broken)

    def _left(self, at: "_Climb") -> Float[Array, ""]:
        """The logarithm of the mass that is left to the live points, by the mean factors."""
        return at.batch * np.log1p(-self.batch / self.live)

    def _is_done(self, at: "_Climb") -> Array:
        """Whether the live points hold little; what is no number goes on."""
        alive = self._left(at) + jax.scipy.special.logsumexp(at.live.height) - np.log(self.live)
        return alive - jnp.logaddexp(alive, at.log_z) < np.log(self.share)

    def _step(self, key: Array, path: PathTarget, at: "_Climb") -> "_Climb":
        """The lowest points become dead ones, and as many new ones are moved from survivors."""
        key_choose, key_move = jax.random.split(key)
        k, kept = self.batch, self.live - self.batch
        low = jax.tree.map(lambda leaf: leaf[:k], at.live)
        high = jax.tree.map(lambda leaf: leaf[k:], at.live)
        bar = (low.height[-1], low.label[-1])
        chosen = jax.random.randint(key_choose, (k,), 0, kept)
        root = _root(at.live.x)
        start = jax.tree.map(lambda leaf: leaf[chosen], high)
        new, moved = jax.vmap(lambda key, point: self._moved(key, path, root, bar, point))(
            jax.random.split(key_move, k), start
        )
        lower = (high.height < new.height[:, None]) | (
            (high.height == new.height[:, None]) & (high.label < new.label[:, None])
        )
        rank = lower.sum(axis=1)
        bins = at.ranks.at[rank * BINS // (kept + 1)].add(1)
        even = [12.0**0.5 * ((number + 0.5) / count - 0.5) for number, count in ((chosen, kept), (rank, kept + 1))]
        alike = at.alike + jnp.mean(even[0] * even[1])
        dead = jax.tree.map(
            lambda held, part: jax.lax.dynamic_update_slice_in_dim(held, part, at.batch * k, 0), at.dead, low
        )
        log_z = jnp.logaddexp(
            at.log_z, self._left(at) + jax.scipy.special.logsumexp(low.height) - np.log(self.live)
        ).astype(at.log_z.dtype)
        live = _ordered(jax.tree.map(lambda one, two: jnp.concatenate([one, two]), high, new))
        return _Climb(live, dead, log_z, at.moved + jnp.mean(moved), at.batch + 1, bins, alike, at.broken)

    def _moved(self, key: Array, path: PathTarget, root: Array, bar: tuple[Array, Array], at: "_Points") -> Any:
        """One point after its slices inside the constraint, with a new label, and the share of them that moved."""
        steps = self.steps or max(10, 3 * path.dim)

        def slice_once(at: tuple[_Points, Array], key: Array) -> Any:
            point, density = at
            key_level, key_direction, key_label, first, second, third = jax.random.split(key, 6)
            direction = root @ jax.random.normal(key_direction, point.x.shape, point.x.dtype)

            def height_at(t: Array) -> Array:
                height = path.log_ratio(point.x + t * direction)
                inside = (height > bar[0]) | ((height == bar[0]) & (point.label > bar[1]))
                return jnp.where(inside, path.log_reference(point.x + t * direction), -jnp.inf)

            level = density - jax.random.exponential(key_level, dtype=density.dtype)
            line = slice_on_line((first, second, third), height_at, level, WIDTH, STEPS_OUT)
            x = point.x + line.t * direction
            height = jnp.where(line.found, path.log_ratio(x), point.height)
            label = jax.random.exponential(key_label, dtype=height.dtype)
            label = jnp.where(height == bar[0], bar[1] + label, label)  # an exponential law above the bar: no memory
            return (_Points(x, height, label), jnp.where(line.found, line.height, density)), line.found

        start = (at, path.log_reference(at.x).astype(at.height.dtype))
        (point, _), found = jax.lax.scan(slice_once, start, jax.random.split(key, steps))
        return point, jnp.mean(found.astype(at.height.dtype))

    def _population(self, path: PathTarget, end: "_Climb") -> Population:
        """Dead points in their order and then the live ones, with weights whose mean is the estimate."""
        k, n, size = self.batch, self.live, len(end.dead.height)
        count = end.batch * k
        number = jnp.arange(size + n)
        dead = number < count
        source = jnp.where(dead, number, jnp.minimum(number - count + size, size + n - 1))
        points = jax.tree.map(lambda one, two: jnp.concatenate([one, two])[source], end.dead, end.live)
        log_mass = jnp.minimum(number // k, end.batch) * np.log1p(-k / n) - np.log(n)
        there = number < count + n
        height = jnp.where(there, points.height, -jnp.inf)
        scale = jnp.log(count + n) + log_mass  # their mean is the estimate
        betas = jnp.linspace(0.0, 1.0, CURVE)

        def at(beta: Array) -> Array:
            weight = jnp.where(height == -jnp.inf, -jnp.inf, path.interpolation.log_weight(height, beta))
            return jax.scipy.special.logsumexp(weight + log_mass)

        curve = jnp.append(jnp.zeros(1), jax.lax.map(at, betas[1:]))
        share = 1.0 / jnp.maximum(end.batch, 1)
        record = NestedRecord(height, self._is_done(end), end.batch, end.ranks, end.moved * share, end.alike * share)
        acceptance = jnp.full(CURVE - 1, jnp.nan)
        return Population(
            points.x, height + scale, betas, curve, acceptance, CURVE - 1, broken=end.broken, count=count + n,
            record=record,
        )  # fmt: skip


class _Points(NamedTuple):
    """Points with what they are ordered by."""

    x: Float[Array, "n dim"]
    height: Float[Array, " n"]
    label: Float[Array, " n"]


class _Climb(NamedTuple):
    """How far the climb is; the live points are in increasing order."""

    live: _Points
    dead: _Points
    log_z: Float[Array, ""]
    moved: Float[Array, ""]
    batch: Int[Array, ""]
    ranks: Int[Array, " bins"]
    alike: Float[Array, ""]
    broken: Float[Array, ""]


def _ordered(points: _Points) -> _Points:
    order = jnp.lexsort((points.label, points.height))
    return jax.tree.map(lambda leaf: leaf[order], points)


def _root(x: Float[Array, "n dim"]) -> Float[Array, "dim dim"]:
    """A root of the covariance of the live points, drawn towards its diagonal where they are few."""
    n, dim = x.shape
    gap = x - jnp.mean(x, axis=0)
    deviation = jnp.sqrt(jnp.mean(gap**2, axis=0))
    deviation = jnp.where(deviation > 0, deviation, 1.0)
    unit = gap / deviation
    own = dim / (dim + n)
    correlation = (1.0 - own) * (unit.T @ unit) / n + own * jnp.eye(dim, dtype=x.dtype)
    factor = jnp.linalg.cholesky(correlation)
    return deviation[:, None] * jnp.where(jnp.isfinite(factor).all(), factor, jnp.eye(dim, dtype=x.dtype))
