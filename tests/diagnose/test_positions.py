import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.density import Density
from gmdsl.diagnose.positions import Positions, coordinates, log_densities_and_scores, positions


@pytest.fixture(scope="module")
def model():
    return gm.joint(
        m=dist.Normal(1.0, 2.0).expand([2]), s=dist.HalfNormal(1.0), p=dist.Dirichlet(np.ones(3, "float32"))
    )


@pytest.fixture(scope="module")
def tree(model):
    return gm.sample(model, gm.MALA(), chains=2, draws=30, warmup=30, progress=False)


def test_recorded_and_recomputed_positions_agree(model, tree):
    density = Density(model)
    recorded = positions(tree, density).x
    assert recorded.shape == (2, 30, 5)
    again = tree.copy()
    del again["unconstrained_posterior"]
    np.testing.assert_allclose(positions(again, density).x, recorded, rtol=1e-3, atol=1e-3)


def test_scores_are_those_of_the_density_at_the_draws(model, tree):
    density = Density(model)
    x = positions(tree, density).x
    value, score = log_densities_and_scores(density, x)
    np.testing.assert_allclose(value, tree["sample_stats"]["lp"].values, rtol=1e-4)
    np.testing.assert_allclose(score[1, 7], density.target.score(x[1, 7]), rtol=1e-5)


def test_coordinates_are_named_as_the_flat_vector_runs(model):
    names = coordinates(Density(model))
    slots = Density(model).target.slots
    assert names[slots[0].start] == "m[0]"
    assert "s" in names
    assert len(names) == 5


def test_weighted_particles_come_with_their_weights():
    path = gm.temper(gm.energy(lambda x: 0.5 * (x - 1.0) ** 2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 2.0)))
    tree = gm.sample(path, gm.AIS(gm.MALA(), particles=100, temperatures=10))
    found = positions(tree, Density(path.target))
    np.testing.assert_array_equal(found.x[..., 0], tree["particles"]["x"].values)
    np.testing.assert_array_equal(found.log_weight, tree["particles"]["log_weight"].values)


def test_thinning_keeps_first_and_last_and_never_more_than_asked():
    x = np.arange(4000.0).reshape(4, 1000, 1)
    found = Positions(x).thinned(500).x
    assert found.shape[0] * found.shape[1] <= 500
    assert found[0, 0, 0] == 0.0
    assert found[-1, -1, 0] == 3999.0
    assert Positions(x).thinned(10_000).x.shape == x.shape


def test_a_model_with_other_variables_is_refused(tree):
    with pytest.raises(gm.SpecError, match="the model has z, the tree has"):
        gm.check(tree, gm.joint(z=dist.Normal(0.0, 1.0)))
    with pytest.raises(gm.SpecError, match=r"m has shape \(2,\) in the tree, \(3,\) in the model"):
        gm.check(tree, gm.joint(m=dist.Normal(0.0, 1.0).expand([3])))
