import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.results.estimate import estimate
from gmdsl.results.weighted_tree import WeightedDraws, weighted_tree

MODEL = gm.joint(x=dist.Normal(0.0, 1.0).expand([2]), dims={"x": ["place"]})


def drawn(log_weight, **changes):
    """Draws 0, 1, 2, ... in both places, with these weights."""
    values = {"x": np.repeat(np.arange(len(log_weight), dtype=float)[None, :, None], 2, axis=2)}
    return WeightedDraws(values, {}, estimate(log_weight, "test"), attributes={"sampler": "Test"}, **changes)


def test_draws_are_resampled_by_their_weights_and_the_weighted_ones_are_kept():
    tree = weighted_tree(MODEL, drawn(np.log(np.array([0.5, 0.25, 0.25, 1e-300]))), seed=3)
    assert sorted(tree["posterior"]["x"].values[0, :, 0]) == [0.0, 0.0, 1.0, 2.0]
    np.testing.assert_array_equal(tree["particles"]["x"].values[0, :, 1], [0.0, 1.0, 2.0, 3.0])
    assert tree["posterior"]["x"].dims == ("chain", "draw", "place")
    np.testing.assert_allclose(tree.attrs["log_z"], np.log(0.25))
    np.testing.assert_allclose(tree.attrs["weight_ess"], 1.0 / (0.5**2 + 2 * 0.25**2))


def test_draws_that_are_not_to_be_resampled_stay_as_they_are():
    tree = weighted_tree(MODEL, drawn(np.log(np.array([0.9, 0.1])), resamples=False), seed=3)
    np.testing.assert_array_equal(tree["posterior"]["x"].values[0, :, 0], [0.0, 1.0])


def test_draws_without_weights_have_no_particles():
    tree = weighted_tree(MODEL, WeightedDraws({"x": np.zeros((1, 3, 2))}, {}, None), seed=0)
    assert "particles" not in tree.children
    assert "log_z" not in tree.attrs


def test_draws_of_which_none_counts_are_refused():
    with pytest.raises(gm.SpecError, match="no draw has any weight"):
        weighted_tree(MODEL, drawn(np.full(3, -np.inf)), seed=0)
