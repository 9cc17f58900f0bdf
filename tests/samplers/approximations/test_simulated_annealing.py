import itertools

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

from ...cases.scoring import load
from .targets import drawn, gamma

SEEDS = range(20)


def rastrigin():
    """Minima at all whole numbers; the lowest is at (4, -3), out of where chains begin, the next is higher by one."""

    def energy(x):
        y = x - jnp.array([4.0, -3.0])
        return jnp.sum(y**2 + 10.0 * (1.0 - jnp.cos(2.0 * jnp.pi * y)))

    return gm.energy(energy, x=gm.Real(2))


def found_rate(model, sampler):
    """How many of twenty seeds end within 0.1 of (4, -3)."""
    ends = [gm.sample(model, sampler, seed=seed, progress=False)["posterior"]["x"].values[0, 0] for seed in SEEDS]
    return sum(np.abs(x - [4.0, -3.0]).max() < 0.1 for x in ends)


def test_the_ground_state_of_a_spin_glass_is_found_by_every_seed():
    """Twelve spins, enumerated; the second state is lower by 0.007 only. Twenty of twenty seeds."""
    J, h = glass()
    states = np.array(list(itertools.product([-1, 1], repeat=12)))
    heights = np.einsum("ni,ij,nj->n", states, J, states) + states @ h
    model = spins(J, h)
    for seed in SEEDS:
        tree = gm.sample(model, gm.SimulatedAnnealing(gm.Gibbs()), seed=seed, progress=False)
        np.testing.assert_array_equal(tree["posterior"]["s"].values[0, 0], states[heights.argmax()])
        np.testing.assert_allclose(tree["sample_stats"]["lp"].values[0, 0], heights.max(), rtol=1e-5)


def test_too_cold_a_start_stays_in_the_states_that_it_falls_into():
    """The same kernel without a hot phase: fewer than half of the seeds."""
    J, h = glass()
    model, best = spins(J, h), 10.99887199842139
    cold = gm.SimulatedAnnealing(gm.Gibbs(), beta_min=99.0, temperatures=50, chains=2)
    heights = [gm.sample(model, cold, seed=seed, progress=False)["sample_stats"]["lp"].values[0, 0] for seed in SEEDS]
    assert max(heights) < best + 1e-4
    assert np.sum(np.abs(np.array(heights) - best) < 1e-3) < 10


@pytest.mark.parametrize("along_a_path", [False, True])
def test_the_lowest_of_hundreds_of_minima_is_found_from_other_basins(along_a_path):
    """At least 18 of twenty seeds; L-BFGS from eight starts finds it from none of them."""
    model = rastrigin()
    if along_a_path:
        model = gm.temper(model, gm.joint(x=dist.Normal(0.0, 6.0).expand([2]).to_event(1)))
    assert found_rate(model, gm.SimulatedAnnealing(gm.RandomWalk(), temperatures=200, chains=40)) >= 18


def test_climbs_alone_end_in_other_minima():
    assert found_rate(rastrigin(), gm.MAP()) == 0


def test_the_height_is_that_of_the_declared_variable_without_jacobian():
    """Gamma(3, 0.5) has its mode at 4 and its logarithm at 6."""
    tree = drawn(gamma(), gm.SimulatedAnnealing(gm.MALA(), beta_max=1000.0))
    s = tree["posterior"]["s"].values
    assert s.shape == (1, 1)
    assert s[0, 0] == pytest.approx(4.0, abs=0.1)
    lp = tree["sample_stats"]["lp"].values[0, 0]
    assert lp == pytest.approx(float(dist.Gamma(3.0, 0.5).log_prob(s[0, 0])), rel=1e-5)


def test_the_answer_has_the_shape_of_that_of_map():
    found, other = drawn(gamma(), gm.SimulatedAnnealing(gm.MALA())), drawn(gamma(), gm.MAP())
    assert set(found["approximation"].data_vars) == set(other["approximation"].data_vars)
    assert set(found.children) == set(other.children)
    assert found.attrs["draws_asked"] == 1
    assert "one point" in found.attrs["bias"]
    group = found["approximation"]
    assert group["end"].shape == (20, 1)
    best = group["end_log_density"].values.max()
    assert best == found["sample_stats"]["lp"].values[0, 0]
    np.testing.assert_array_equal(group["elsewhere"].values, group["end_log_density"].values < best - 0.1)


def test_labels_and_real_numbers_are_annealed_together():
    """The broad part has more mass, the narrow one the highest point: k = 1, x = 3."""
    model = gm.joint(k=dist.Bernoulli(0.1), x=lambda k: dist.Normal(3.0 * k, jnp.where(k > 0, 0.01, 1.0)))
    move = gm.blocks({"k": gm.Gibbs(), "x": gm.RandomWalk()})
    values = drawn(model, gm.SimulatedAnnealing(move, temperatures=200, beta_max=10.0))["posterior"]
    assert values["k"].values[0, 0] == 1
    assert values["x"].values[0, 0] == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("move", [gm.Gibbs(), gm.GibbsWithGradients()], ids=lambda m: type(m).__name__)
def test_samplers_of_labels_anneal_a_graph_of_known_edges(move):
    """Two triangles that share a corner, against a weak field: all spins down, by 6 + 1.5."""
    edges = np.array([[0, 1], [1, 2], [2, 0], [2, 3], [3, 4], [4, 2]])
    model = gm.energy(
        lambda s, edges: -jnp.sum(s[edges[:, 0]] * s[edges[:, 1]]) + 0.3 * jnp.sum(s),
        s=gm.Spin(5),
        edges=gm.data(edges),
    )
    tree = drawn(model, gm.SimulatedAnnealing(move, temperatures=40))
    np.testing.assert_array_equal(tree["posterior"]["s"].values[0, 0], -np.ones(5))
    assert tree["sample_stats"]["lp"].values[0, 0] == pytest.approx(7.5, rel=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(gm.SpecError, match="inverse temperatures grow"):
        gm.SimulatedAnnealing(gm.MALA(), beta_min=2.0, beta_max=1.0)
    with pytest.raises(gm.SpecError, match=r"chains=1\): at least 2"):
        gm.SimulatedAnnealing(gm.MALA(), chains=1)
    with pytest.raises(gm.SpecError, match="Take an exact kernel"):
        gm.SimulatedAnnealing(gm.Langevin(0.1))
    with pytest.raises(gm.SpecError, match="s was declared"):
        drawn(gm.energy(lambda s: s[0] * s[1], s=gm.Spin(2)), gm.SimulatedAnnealing(gm.MALA()))
    with pytest.raises(gm.SpecError, match="chooses its own starts"):
        gm.sample(rastrigin(), gm.SimulatedAnnealing(gm.MALA()), init={"x": jnp.zeros(2)})
    with pytest.raises(gm.StartError, match="not finite"):
        drawn(gm.energy(lambda x: jnp.inf + x, x=gm.Real()), gm.SimulatedAnnealing(gm.RandomWalk()))
    with pytest.raises(gm.SpecError, match="a model or a path is needed first"):
        gm.sample(gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.VP()), gm.SimulatedAnnealing(gm.MALA()))


def glass():
    case = load("discrete", "spin_glass_12").arrays
    return np.triu(case["J"], 1), case["h"]


def spins(J, h):
    return gm.energy(lambda s, J, h: -(s @ J @ s + s @ h), s=gm.Spin(12), J=gm.data(J), h=gm.data(h))
