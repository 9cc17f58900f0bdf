r"""A Hamiltonian trajectory that doubles, forwards or backwards in time, until it turns back.

The tree of doublings is built leaf by leaf in one loop. A doubling of depth $j$ has $2^j$ leaves; the momenta and sums
of momenta that its U-turn checks need are kept in $j$ checkpoints, one per bit of the number of the leaf. A state is
drawn from each doubling by its weights $e^{-H}$, and from the whole with a bias towards the later doubling.

The trajectory from $r_-$ to $r_+$ with the sum of momenta $\rho$ has turned back when $r_- \cdot \rho' \le 0$ or
$r_+ \cdot \rho' \le 0$, where $\rho' = \rho - (r_- + r_+) / 2$ is the trapezoidal sum; the two checks across the border
of the last doubling are made, too.

Reference:
    Hoffman and Gelman, *The No-U-Turn Sampler*, JMLR 15, 2014; Betancourt, *A conceptual introduction to Hamiltonian
    Monte Carlo*, 2017, appendix A; Phan, Pradhan and Jankowiak, *Composable effects for flexible and accelerated
    probabilistic programming in NumPyro*, 2019 (the iterative tree).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gmdsl.core.across import max_over_lanes
from gmdsl.core.density import Target
from gmdsl.core.hamiltonian import DIVERGENCE, leapfrog
from gmdsl.core.metric import Root, kinetic
from gmdsl.core.point import ScoredPoint, is_nan

SMALL = 64  # dimensions up to which all checkpoints are looked at together, without a loop


class Drawn(NamedTuple):
    """A state drawn from a part of the trajectory, its energy, and the log of the sum of the weights of the part."""

    point: ScoredPoint
    energy: Float[Array, ""]
    log_weight: Float[Array, ""]


class Doubling(NamedTuple):
    """The doubling that is being built: its latest leaf, and what is known of those before."""

    point: ScoredPoint
    momentum: Float[Array, " dim"]
    drawn: Drawn
    sum: Float[Array, " dim"]
    first: Float[Array, " dim"]
    leaf: Int[Array, ""]
    momenta: Float[Array, "depths dim"]
    sums: Float[Array, "depths dim"]


class Tree(NamedTuple):
    """The whole trajectory, which the doublings before the present one make up, and how it went."""

    points: ScoredPoint  # of both ends, each with a leading axis: earliest, latest
    momenta: Float[Array, "2 dim"]
    drawn: Drawn
    sum: Float[Array, " dim"]
    forwards: Bool[Array, ""]
    depth: Int[Array, ""]
    leaves: Int[Array, ""]
    acceptance: Float[Array, ""]
    turned: Bool[Array, ""]
    diverging: Bool[Array, ""]
    broken: Bool[Array, ""]
    done: Bool[Array, ""]


def doubled(
    key: Array,
    target: Target,
    root: Root,
    step_size: Any,
    max_depth: int,
    start: ScoredPoint,
    momentum: Float[Array, " dim"],
) -> Tree:
    """The trajectory from a state, doubled until it turns back, diverges, or has `max_depth` doublings."""
    energy = kinetic(momentum) - start.log_density
    both = lambda leaf: jnp.stack([leaf, leaf])  # noqa: E731
    none, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    zero = jnp.zeros_like(energy)
    drawn = Drawn(start, energy, zero)
    forwards = jax.random.bernoulli(key)
    ends = jax.tree.map(both, start)
    tree = Tree(ends, both(momentum), drawn, momentum, forwards, none, none, zero, no, no, no, no)
    kept = jnp.zeros((max_depth, *momentum.shape), momentum.dtype)
    part = Doubling(start, momentum, drawn, momentum, momentum, none, kept, kept)

    def going(at: tuple[Tree, Doubling]) -> Bool[Array, ""]:
        return max_over_lanes(~at[0].done)

    def grow(at: tuple[Tree, Doubling]) -> tuple[Tree, Doubling]:
        tree, part = at
        uniform = jax.random.uniform(jax.random.fold_in(key, tree.leaves), (3,), momentum.dtype)
        step = jnp.where(tree.forwards, step_size, -step_size)
        before = part.point.log_density
        point, momentum_now = leapfrog(target, root, step, part.point, part.momentum)
        hole = is_nan(point) & (before > start.log_density - DIVERGENCE)
        part, error, turned = _with_leaf(part, point, momentum_now, energy, uniform[0])
        return _joined(tree, part, error, turned, hole, uniform[1:], max_depth)

    return jax.lax.while_loop(going, grow, (tree, part))[0]


def _with_leaf(
    part: Doubling, point: ScoredPoint, momentum: Array, start: Array, uniform: Array
) -> tuple[Doubling, Array, Array]:
    """The doubling with one more leaf, the error of its energy, and whether a part that ends there has turned back."""
    energy = kinetic(momentum) - point.log_density
    error = energy - start
    error = jnp.where(jnp.isnan(error), jnp.inf, error)
    fresh = part.leaf == 0
    total = jnp.where(fresh, -error, jnp.logaddexp(part.drawn.log_weight, -error))
    takes = fresh | (uniform < jnp.exp(-error - total))
    old = Drawn(part.drawn.point, part.drawn.energy, total)
    drawn = jax.tree.map(lambda new, was: jnp.where(takes, new, was), Drawn(point, energy, total), old)
    summed = jnp.where(fresh, momentum, part.sum + momentum)
    first = jnp.where(fresh, momentum, part.first)
    # A leaf with an even number opens the parts of 2, 4... leaves that it is the first of; an odd one closes some.
    last = jax.lax.population_count(part.leaf >> 1)
    closed = jax.lax.population_count(part.leaf ^ (part.leaf + 1)) - 1
    opens = (part.leaf & 1) == 0
    momenta, sums = _stored(part.momenta, last, opens, momentum), _stored(part.sums, last, opens, summed)
    turned = _closed_part_turned(momenta, sums, momentum, summed, last - closed + 1, last)
    return Doubling(point, momentum, drawn, summed, first, part.leaf, momenta, sums), error, turned


def _stored(rows: Array, place: Array, asked: Array, row: Array) -> Array:
    if rows.shape[1] > SMALL:
        return rows.at[place].set(jnp.where(asked, row, rows[place]))
    return jnp.where(((jnp.arange(len(rows)) == place) & asked)[:, None], row, rows)


def _closed_part_turned(momenta: Array, sums: Array, end: Array, total: Array, first: Array, last: Array) -> Array:
    """Whether one of the parts that begin at the checkpoints from `first` to `last` has turned back at its end."""
    turned = lambda momentum, before: turned_back(momentum, end, total - before + momentum)  # noqa: E731
    if momenta.shape[1] > SMALL:
        look = lambda i, found: found | turned(momenta[i], sums[i])  # noqa: E731
        return jax.lax.fori_loop(first, last + 1, look, jnp.zeros((), bool))
    places = jnp.arange(len(momenta))
    return jnp.any(jax.vmap(turned)(momenta, sums) & (places >= first) & (places <= last))


def _joined(
    tree: Tree, part: Doubling, error: Array, turned: Array, hole: Array, uniform: Array, max_depth: int
) -> tuple[Tree, Doubling]:
    """The tree after a leaf: where the doubling is complete it becomes part of the whole, and the next one begins."""
    active = ~tree.done
    diverging = error > DIVERGENCE
    lost = turned | diverging
    complete = active & ~lost & (part.leaf + 1 == (1 << tree.depth))
    takes = complete & (jnp.log(uniform[0]) < part.drawn.log_weight - tree.drawn.log_weight)
    total = jnp.where(complete, jnp.logaddexp(tree.drawn.log_weight, part.drawn.log_weight), tree.drawn.log_weight)
    drawn = jax.tree.map(lambda new, was: jnp.where(takes, new, was), part.drawn, tree.drawn)
    drawn = drawn._replace(log_weight=total)
    border, far = _pick(tree.momenta, tree.forwards), _pick(tree.momenta, ~tree.forwards)
    summed = tree.sum + part.sum
    back = turned_back(far, part.momentum, summed)
    back |= turned_back(far, part.first, tree.sum + part.first) | turned_back(border, part.momentum, border + part.sum)
    depth = tree.depth + complete.astype(tree.depth.dtype)
    replaced = complete & (jnp.arange(2) == tree.forwards.astype(jnp.int32))
    put = lambda ends, new: jnp.where(replaced.reshape(2, *[1] * jnp.ndim(new)), new, ends)  # noqa: E731
    points, momenta = jax.tree.map(put, tree.points, part.point), put(tree.momenta, part.momentum)
    forwards = jnp.where(complete, uniform[1] < 0.5, tree.forwards)
    seen = active.astype(error.dtype)
    whole = Tree(
        points, momenta, drawn, jnp.where(complete, summed, tree.sum), forwards,
        depth + (active & lost).astype(depth.dtype),
        tree.leaves + active.astype(tree.leaves.dtype),
        tree.acceptance + seen * jnp.exp(-jnp.maximum(error, 0.0)),
        tree.turned | (active & turned) | (complete & back),
        tree.diverging | (active & diverging),
        tree.broken | (active & hole),
        tree.done | lost | (complete & back) | (depth >= max_depth),
    )  # fmt: skip
    point = jax.tree.map(lambda ends, now: jnp.where(complete, _pick(ends, forwards), now), points, part.point)
    momentum = jnp.where(complete, _pick(momenta, forwards), part.momentum)
    leaf = jnp.where(complete, 0, part.leaf + 1)
    return whole, part._replace(point=point, momentum=momentum, leaf=leaf)


def _pick(ends: Array, latest: Array) -> Array:
    return jnp.where(latest, ends[1], ends[0])


def turned_back(
    first: Float[Array, " dim"], last: Float[Array, " dim"], total: Float[Array, " dim"]
) -> Bool[Array, ""]:
    """Whether a trajectory between two momenta, whose sum of momenta is given, has turned back."""
    middle = total - 0.5 * (first + last)
    return (jnp.dot(first, middle) <= 0.0) | (jnp.dot(last, middle) <= 0.0)
