"""The tree against a plain one: all leaves in a list, every part of it checked by the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.random.keys import step_key
from gmdsl.inference.kernels import long_vectors
from gmdsl.inference.kernels.hamiltonian import leapfrog
from gmdsl.inference.kernels.metric import kinetic, root
from gmdsl.inference.kernels.no_u_turn import doubled
from gmdsl.inference.kernels.scored_point import scored_point


def target(dim):
    return gm.compile(gm.energy(lambda x: 0.5 * x @ x + 0.1 * jnp.sum(x**4) + 0.3 * x[0], x=gm.Real(dim))).target


def turned(momenta):
    """Whether a trajectory with these momenta, in the order of time, has turned back."""
    middle = momenta.sum(0) - 0.5 * (momenta[0] + momenta[-1])
    return momenta[0] @ middle <= 0 or momenta[-1] @ middle <= 0


def plain(key, at, scales, step, depths, start, momentum):
    """Depth, leaves, mean acceptance and why it ended, with all leaves kept."""
    energy, leaves, rates = float(kinetic(momentum) - start.log_density), [(start, momentum)], []
    for depth in range(depths):
        forwards = bool(jax.random.uniform(step_key(key, depth), (2,), momentum.dtype)[0] < 0.5)
        new = []
        for _ in range(2**depth):
            point, r = (new or [leaves[-1 if forwards else 0]])[-1]
            new.append(leapfrog(at, scales, step if forwards else -step, point, r))
            error = float(kinetic(new[-1][1]) - new[-1][0].log_density) - energy
            rates.append(min(1.0, np.exp(-error)))
            count = len(new)
            closed = [n for n in 2 ** np.arange(1, 12) if count % n == 0]
            if error > 1000 or any(turned(np.array([r for _, r in new[count - n :]])) for n in closed):
                return depth + 1, len(rates), np.mean(rates), "turned" if error <= 1000 else "diverging"
        leaves = leaves + new if forwards else new[::-1] + leaves
        if turned(np.array([r for _, r in leaves])):
            return depth + 1, len(rates), np.mean(rates), "turned"
    return depths, len(rates), np.mean(rates), "full"


@pytest.fixture(params=["whole", "in pieces"])
def pieces(request, monkeypatch):
    """Whether all vectors count as long ones."""
    if request.param == "in pieces":
        monkeypatch.setattr(long_vectors, "LONG", 2)
        monkeypatch.setattr(long_vectors, "PIECE", 2)


@pytest.mark.parametrize("dim", [3, 80])
def test_the_tree_ends_where_one_with_all_leaves_kept_does(dim, pieces, x64):
    at, scales = target(dim), root(jnp.linspace(0.5, 1.5, dim))
    ended = set()
    for seed, step in enumerate([0.02, 0.05, 0.1, 0.1, 0.2, 0.3, 0.5, 0.9, 0.004, 0.15, 0.25, 30.0]):
        key, other = jax.random.split(jax.random.key(seed))
        x, r = jax.random.normal(other, (2, dim))
        start = scored_point(at, x)
        tree = jax.jit(lambda k, h, s, r: doubled(k, at, scales, h, 6, s, r))(key, step, start, r)
        depth, leaves, rate, why = plain(key, at, scales, step, 6, start, r)
        tally = tree.tally
        assert (int(tree.depth), int(tally.leaves)) == (depth, leaves)
        np.testing.assert_allclose(tally.acceptance / tally.leaves, rate, rtol=1e-9)
        assert {"turned": tally.turned, "diverging": tally.diverging, "full": ~(tally.turned | tally.diverging)}[why]
        ended.add(why)
    assert ended == {"turned", "diverging", "full"}


def test_chains_side_by_side_build_the_trees_that_they_build_alone(pieces, x64):
    at, scales = target(3), root(jnp.ones(3))
    keys = jax.random.split(jax.random.key(1), 20)
    x, r = jax.random.normal(jax.random.key(2), (2, 20, 3))

    def one(key, x, r):
        return doubled(key, at, scales, 0.2, 8, scored_point(at, x), r)

    together = jax.vmap(one)(keys, x, r)
    alone = jax.lax.map(lambda args: one(*args), (keys, x, r))
    assert len(set(np.asarray(alone.tally.leaves).tolist())) > 2
    for name in ("rows", "depth", "tally"):
        for a, b in zip(*map(jax.tree.leaves, (getattr(together, name), getattr(alone, name))), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)


def test_states_are_drawn_by_their_weights_with_a_bias_to_the_later_doubling(pieces, x64):
    """At depth one there are two states: the later is taken with probability min(1, w1 / w0)."""
    at, scales = target(2), root(jnp.ones(2))
    start, r = scored_point(at, jnp.array([0.2, -0.3])), jnp.array([1.9, 1.2])
    keys = jax.random.split(jax.random.key(0), 20_000)
    trees = jax.jit(jax.vmap(lambda k: doubled(k, at, scales, 0.9, 1, start, r)))(keys)
    moved = np.asarray(trees.rows.held.point.position[:, 0, 0] != start.position[0])
    went = np.asarray(trees.points.position[:, 1, 0] != start.position[0])  # forwards in time
    for forwards in (True, False):
        end, p = leapfrog(at, scales, 0.9 if forwards else -0.9, start, r)
        error = float(kinetic(p) - end.log_density - kinetic(r) + start.log_density)
        share, expected = moved[went == forwards].mean(), min(1.0, np.exp(-error))
        sd = np.sqrt(max(expected * (1 - expected), 1e-12) / (went == forwards).sum())
        assert abs(share - expected) < 4.5 * sd + 1e-12  # false alarms 1e-5
