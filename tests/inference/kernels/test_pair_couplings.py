import time

import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.inference.kernels.label_point import values_of
from gmdsl.inference.kernels.pair_couplings import PairGraph, couplings, log_weight, pair_graph

RNG = np.random.default_rng(0)
PAIRS, FIELD = RNG.normal(size=(6, 6)), RNG.normal(size=6)


def read(model):
    density = gm.compile(model)
    graph = pair_graph(gm.SwendsenWang(), density)
    states = density.target.states
    first, gap = (np.array([state[k] for state in states]) for k in (1, 2))
    return graph, couplings(density.target.log_density, first, gap, graph)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("diagonal", [0.0, 2.0])
def test_a_matrix_of_spins_has_twice_its_couplings(diagonal):
    """What a spin does to itself is a constant, whatever first differences make of it."""
    J = np.triu(PAIRS, 1) + diagonal * np.eye(6)
    graph, found = read(gm.energy(lambda s, J, h: -(s @ J @ s + h @ s), s=gm.Spin(6), J=gm.data(J), h=gm.data(FIELD)))
    assert len(graph.edges) == 15
    np.testing.assert_allclose(found.pairs, 2 * J[tuple(graph.edges.T)], atol=1e-12)
    np.testing.assert_allclose(found.fields, np.stack([0 * FIELD, 2 * FIELD], axis=1), atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", ["bits", "labels"])
def test_the_log_density_is_made_again(kind):
    if kind == "bits":
        model = gm.energy(lambda s, J: -(s @ J @ s), s=gm.Binary(6), J=gm.data(PAIRS))
    else:
        model = gm.energy(
            lambda s, J: -0.7 * jnp.sum(s[1:] == s[:-1]) - jnp.sum(J[jnp.arange(6), s]),
            s=gm.Categorical(3, 6),
            J=gm.data(PAIRS),
        )
    graph, found = read(model)
    target = gm.compile(model).target
    n = RNG.integers(0, graph.q, (20, 6))
    given = np.array([target.log_density(values_of(target)[0][np.arange(6), row]) for row in n])
    made = np.array([log_weight(graph, found, jnp.asarray(row)) for row in n])
    np.testing.assert_allclose(given - given[0], made - made[0], atol=1e-10)


def test_couplings_that_cancel_in_a_sum_are_found():
    """Neighbours of a spin with opposite signs, as in a spin glass on a lattice."""
    J = RNG.choice([-1.0, 1.0], (2, 8, 8))

    def energy(s, J):
        return -jnp.sum(s * (J[0] * jnp.roll(s, 1, 0) + J[1] * jnp.roll(s, 1, 1)))

    graph, found = read(gm.energy(energy, s=gm.Spin(8, 8), J=gm.data(J)))
    assert len(graph.edges) == 128
    assert sorted(np.round(found.pairs).tolist()) == sorted((2 * J).ravel().tolist())


def test_a_large_lattice_is_read_in_a_moment():
    def energy(s):
        return -0.44 * jnp.sum(s * (jnp.roll(s, 1, 0) + jnp.roll(s, 1, 1)))

    density = gm.compile(gm.energy(energy, s=gm.Spin(64, 64)))
    begin = time.perf_counter()
    graph = pair_graph(gm.SwendsenWang(), density)
    assert time.perf_counter() - begin < 10.0  # 0.6 s on two cores
    assert (len(graph.edges), graph.colors.max() < 16) == (8192, True)


def test_labels_of_one_colour_share_no_neighbour():
    edges = np.array([(i, (i + 1) % 12) for i in range(12)])
    graph = PairGraph.of(2, 12, edges)
    for color in range(graph.colors.max() + 1):
        near = [j for pair in graph.edges.tolist() for i, j in (pair, pair[::-1]) if graph.colors[i] == color]
        assert len(near) == len(set(near))


def test_terms_of_three_are_refused_however_weak():
    def energy(s):
        return -0.4 * jnp.sum(s * (jnp.roll(s, 1, 0) + jnp.roll(s, 1, 1))) - 1e-3 * s[0, 0] * s[0, 1] * s[0, 2]

    with pytest.raises(gm.SpecError, match="depends on two others together"):
        read(gm.energy(energy, s=gm.Spin(32, 32)))
    with pytest.raises(gm.SpecError, match="the density is zero"):
        read(gm.energy(lambda s: jnp.where(s[0] == s[1], 0.0, jnp.inf), s=gm.Spin(2)))
