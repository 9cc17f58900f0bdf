import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import gmdsl as gm
from gmdsl.diagnose.examined import Examined


@pytest.fixture(scope="module")
def tree():
    bowl = gm.energy(lambda x: x.sum() - 3.0 * x.prod() ** 0.5, x=gm.Positive(2))
    return gm.sample(bowl, gm.RandomWalk(0.3), draws=20, warmup=10, progress=False)


def test_checks_see_the_coordinates_that_moved(tree):
    run = Examined(tree)
    np.testing.assert_allclose(np.exp(run.moving["x"]), run.posterior["x"], rtol=1e-5)
    np.testing.assert_array_equal(run.stats["accepted"], tree["sample_stats"]["accepted"])
    moved = np.diff(run.moving["x"], axis=1).any(-1)
    np.testing.assert_array_equal(run.stats["accepted"][:, 1:], moved)


def test_a_tree_of_draws_alone_has_no_stats_and_is_read_as_it_is(tree):
    from xarray import DataTree

    run = Examined(DataTree.from_dict({"/posterior": tree["posterior"].to_dataset()}))
    assert len(run.stats) == 0
    assert run.moving.equals(run.posterior)


def test_angles_are_seen_as_directions(tmp_path):
    model = gm.joint(x=dist.VonMises(2.0, 2.0), y=dist.Normal(0.0, 1.0))
    settings = {"draws": 50, "warmup": 50, "progress": False}
    for given in ({}, {"store": tmp_path / "run.zarr"}):
        run = Examined(gm.sample(model, gm.NUTS(), **settings, **given))
        assert set(run.moving.data_vars) == {"cos x", "sin x", "y"}
        np.testing.assert_allclose(run.moving["sin x"], np.sin(run.posterior["x"]), rtol=1e-6)
    assert gm.check(run.tree, model)["R-hat"].evidence.split("(")[-1] != "x)"


def test_labels_that_are_all_but_certain_are_not_ranked():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=(4, 200, 3))
    labels[..., 1] = 0
    labels[0, 7, 1] = 1
    draws = xarray.Dataset({"k": (("chain", "draw", "i"), labels), "x": (("chain", "draw"), rng.normal(size=(4, 200)))})
    moving = draws.assign(k=draws["k"].astype(float))
    tree = xarray.DataTree.from_dict({"posterior": draws, "unconstrained_posterior": moving})
    assert Examined(tree).ranked["k"].shape == (4, 200, 2)
    assert set(Examined(tree).moving.data_vars) == {"k", "x"}
