r"""A Hamiltonian trajectory that doubles, forwards or backwards in time, until it turns back.

A doubling of depth $j$ has $2^j$ leaves, which are made one by one; the momenta and sums of momenta that its U-turn
checks need are kept in $j$ checkpoints, one per bit of the number of the leaf. A state is drawn from each doubling by
its weights $e^{-H}$, and from the whole with a bias towards the later doubling.

The trajectory from $r_-$ to $r_+$ with the sum of momenta $\rho$ has turned back when $r_- \cdot \rho' \le 0$ or
$r_+ \cdot \rho' \le 0$, where $\rho' = \rho - (r_- + r_+) / 2$ is the trapezoidal sum. The same check is made of the
whole and of every part that would have been a whole from another start: the trajectory must be as likely to be built
from each of its states, or the law is not kept.

Reference:
    Hoffman and Gelman, *The No-U-Turn Sampler*, JMLR 15, 2014; Betancourt, *A conceptual introduction to Hamiltonian
    Monte Carlo*, 2017, appendix A; Phan, Pradhan and Jankowiak, *Composable effects for flexible and accelerated
    probabilistic programming in NumPyro*, 2019 (the iterative tree).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gmdsl.core.random.keys import step_key
from gmdsl.core.random.threefry import uniforms
from gmdsl.inference.kernels.hamiltonian import DIVERGENCE, leapfrog
from gmdsl.inference.kernels.long_vectors import is_long, sums, with_row
from gmdsl.inference.kernels.metric import Root, inner, kinetic
from gmdsl.inference.kernels.scored_point import ScoredPoint, is_nan
from gmdsl.inference.target import Target


class Weight(NamedTuple):
    """A sum of weights, in units of the largest: no weight overflows, and to add one takes one exponential."""

    log_peak: Float[Array, ""]
    total: Float[Array, ""]


class Drawn(NamedTuple):
    """A state drawn from a part of the trajectory, and its energy."""

    point: ScoredPoint
    energy: Float[Array, ""]


class Reservoir(NamedTuple):
    """A state that is being drawn from a part of the trajectory, and the sum of the weights of the part.

    The arrays of `held` have a leading axis of two: what is drawn so far, and a place for what is not, as it costs less
    to write a row than to choose between two.
    """

    held: Drawn
    weight: Weight

    @property
    def drawn(self) -> Drawn:
        """What is drawn so far."""
        return jax.tree.map(lambda rows: rows[0], self.held)


class Tally(NamedTuple):
    """How the trajectory went: its leaves, the sum of their acceptance rates, and why it ended."""

    leaves: Int[Array, ""]
    acceptance: Float[Array, ""]
    turned: Bool[Array, ""]
    diverging: Bool[Array, ""]
    broken: Bool[Array, ""]


class Leaf(NamedTuple):
    """A state of the trajectory: a point, its momentum and its energy."""

    point: ScoredPoint
    momentum: Float[Array, " dim"]
    energy: Float[Array, ""]


class Doubling(NamedTuple):
    """The doubling that is being built: its latest leaf, the state drawn from it, and the checkpoints."""

    point: ScoredPoint
    momentum: Float[Array, " dim"]
    rows: Reservoir
    sum: Float[Array, " dim"]
    momenta: Float[Array, "depths dim"]
    sums: Float[Array, "depths dim"]
    leaf: Int[Array, ""]


class Tree(NamedTuple):
    """The whole trajectory: both ends with a leading axis (earliest, latest), the state drawn from it, how it went."""

    points: ScoredPoint
    momenta: Float[Array, "2 dim"]
    rows: Reservoir
    sum: Float[Array, " dim"]
    depth: Int[Array, ""]
    tally: Tally

    @property
    def drawn(self) -> Drawn:
        """The state drawn from the trajectory."""
        return self.rows.drawn


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
    none, no, zero = jnp.zeros((), jnp.int32), jnp.zeros((), bool), jnp.zeros_like(energy)
    both = lambda leaf: jnp.stack([leaf, leaf])  # noqa: E731
    ends, nothing = jax.tree.map(both, start), Weight(jnp.full_like(energy, -jnp.inf), zero)
    rows = Reservoir(Drawn(ends, both(energy)), Weight(zero, jnp.ones_like(energy)))
    tree = Tree(ends, both(momentum), rows, momentum, none, Tally(none, zero, no, no, no))
    checkpoints = jnp.zeros((max_depth + 1, *momentum.shape), momentum.dtype)

    def going(at: tuple[Tree, Array, Array]) -> Bool[Array, ""]:
        tree = at[0]
        return (tree.depth < max_depth) & ~tree.tally.turned & ~tree.tally.diverging

    def double(at: tuple[Tree, Array, Array]) -> tuple[Tree, Array, Array]:
        tree, momenta, sums = at
        side, choice = uniforms(step_key(key, tree.depth), 2, momentum.dtype)
        forwards = side < 0.5
        end = forwards.astype(jnp.int32)
        point = jax.tree.map(lambda ends: ends[end], tree.points)
        rows = tree.rows._replace(weight=nothing)
        part = Doubling(point, tree.momenta[end], rows, jnp.zeros_like(momentum), momenta, sums, none)
        step = jnp.where(forwards, step_size, -step_size)

        def unfinished(at: tuple[Doubling, Tally]) -> Bool[Array, ""]:
            part, tally = at
            return (part.leaf < (1 << tree.depth)) & ~tally.turned & ~tally.diverging

        def grow(at: tuple[Doubling, Tally]) -> tuple[Doubling, Tally]:
            part, tally = at
            (uniform,) = uniforms(step_key(key, max_depth + tally.leaves), 1, momentum.dtype)
            point, now = leapfrog(target, root, step, part.point, part.momentum)
            there = kinetic(now) - point.log_density
            hole = _is_nan(point, there) & (part.point.log_density > start.log_density - DIVERGENCE)
            return _with_leaf(part, tally, Leaf(point, now, there), energy, hole, uniform)

        part, tally = jax.lax.while_loop(unfinished, grow, (part, tree.tally))
        return _join(tree, part, tally, end, choice), part.momenta, part.sums

    return jax.lax.while_loop(going, double, (tree, checkpoints, checkpoints))[0]


def _with_leaf(
    part: Doubling, tally: Tally, leaf: Leaf, start: Array, hole: Array, uniform: Array
) -> tuple[Doubling, Tally]:
    """The doubling with one more leaf, and how it went."""
    point, momentum, energy = leaf
    error = energy - start
    error = jnp.where(jnp.isnan(error), jnp.inf, error)
    weight, share = _sum(part.rows.weight, Weight(-error, jnp.ones_like(error)))
    rows = _take(part.rows, uniform < share, Drawn(point, energy), weight)
    summed = part.sum + momentum
    # A leaf with an even number opens the parts of 2, 4... leaves that it is the first of; an odd one closes some.
    last = jax.lax.population_count(part.leaf >> 1)
    closed = jax.lax.population_count(part.leaf ^ (part.leaf + 1)) - 1
    momenta, before = _kept(part, momentum, summed, last)

    def look(at: tuple[Array, Array]) -> tuple[Array, Array]:
        return at[0] - 1, _part_turned(momenta, before, at[0], momentum, summed)

    going = lambda at: (at[0] > last - closed) & ~at[1]  # noqa: E731
    turned = jax.lax.while_loop(going, look, (last, jnp.zeros((), bool)))[1]
    went = Tally(
        tally.leaves + 1,
        tally.acceptance + jnp.exp(-jnp.maximum(error, 0.0)),
        turned,
        error > DIVERGENCE,
        tally.broken | hole,
    )
    return Doubling(point, momentum, rows, summed, momenta, before, part.leaf + 1), went


def _is_nan(point: ScoredPoint, energy: Array) -> Bool[Array, ""]:
    """`is_nan` of a point; where it is NaN so is the energy, by which long vectors need not be looked through."""
    if not is_long(point.position):
        return is_nan(point)
    return jax.lax.cond(jnp.isnan(energy), is_nan, lambda _: jnp.zeros((), bool), point)


def _kept(part: Doubling, momentum: Array, summed: Array, last: Array) -> tuple[Array, Array]:
    """The checkpoints with a leaf that opens some parts."""
    opens = part.leaf & 1 == 0
    if is_long(momentum):
        return with_row(part.momenta, last, momentum, opens), with_row(part.sums, last, summed, opens)
    place = jnp.where(opens, last, len(part.momenta) - 1)  # the last row is not read
    put = lambda rows, row: jax.lax.dynamic_update_index_in_dim(rows, row, place, 0)  # noqa: E731
    return put(part.momenta, momentum), put(part.sums, summed)


def _part_turned(momenta: Array, before: Array, row: Array, last: Array, summed: Array) -> Bool[Array, ""]:
    """Whether the part from a checkpoint to the latest leaf has turned back."""
    if not is_long(last):
        first = momenta[row]
        return turned_back(first, last, summed - before[row] + first)

    def terms(piece: Any) -> tuple[Array, Array]:
        first, end = piece(momenta, row), piece(last)
        middle = piece(summed) - piece(before, row) + 0.5 * (first - end)
        return first * middle, end * middle

    one, other = sums(last.shape[0], terms, 2, last.dtype)
    return (one <= 0.0) | (other <= 0.0)


def _join(tree: Tree, part: Doubling, tally: Tally, end: Array, uniform: Array) -> Tree:
    """The tree with a doubling; one that turned back or diverged within is no part of it."""
    good = ~tally.turned & ~tally.diverging
    old, new = tree.rows.weight, part.rows.weight
    odds = jnp.exp(new.log_peak - old.log_peak) * new.total / old.total
    rows = _take(tree.rows, good & (uniform < odds), part.rows.drawn, _sum(old, new)[0])
    summed = tree.sum + part.sum
    back = turned_back(tree.momenta[1 - end], part.momentum, summed)
    put = lambda ends, new: jax.lax.dynamic_update_index_in_dim(ends, new, end, 0)  # noqa: E731
    points, momenta = jax.tree.map(put, tree.points, part.point), put(tree.momenta, part.momentum)
    tally = tally._replace(turned=tally.turned | (good & back))
    return Tree(points, momenta, rows, summed, tree.depth + 1, tally)


def _sum(one: Weight, other: Weight) -> tuple[Weight, Array]:
    """The sum of two weights, and the share of the other in it."""
    small = jnp.exp(-jnp.abs(other.log_peak - one.log_peak))
    higher = other.log_peak > one.log_peak
    mine = jnp.where(higher, one.total * small, one.total)
    others = jnp.where(higher, other.total, other.total * small)
    return Weight(jnp.maximum(one.log_peak, other.log_peak), mine + others), others / (mine + others)


def _take(rows: Reservoir, takes: Array, new: Drawn, weight: Weight) -> Reservoir:
    """The rows with a new state in place of the one that was drawn, where it is taken."""
    row = jnp.where(takes, 0, 1)

    def put(held: Array, leaf: Array) -> Array:
        if leaf.ndim and is_long(leaf):
            return with_row(held, jnp.zeros((), jnp.int32), leaf, takes)
        return jax.lax.dynamic_update_index_in_dim(held, leaf, row, 0)

    return Reservoir(jax.tree.map(put, rows.held, new), weight)


def turned_back(first: Array, last: Array, total: Array) -> Bool[Array, ""]:
    """Whether a trajectory between two momenta, whose sum of momenta is given, has turned back; all of length dim."""
    middle = total - 0.5 * (first + last)
    return (inner(first, middle) <= 0.0) | (inner(last, middle) <= 0.0)
