import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.flat_target import Interned
from gmdsl.run.predictive.points import check_drawn, completed, posterior_points, with_group


@pytest.fixture(scope="module")
def model():
    return gm.joint(m=dist.Normal(0.0, 1.0).expand([2]), y=lambda m: dist.Normal(m.sum(), 1e-6)).condition(y=3.0)


@pytest.fixture(scope="module")
def tree(model):
    return gm.sample(model, gm.NUTS(), chains=2, draws=5, warmup=20, progress=False)


def test_points_are_the_draws_one_chain_after_the_other(model, tree):
    free, shape = posterior_points("predict", tree, model)
    assert shape == (2, 5)
    np.testing.assert_array_equal(free["m"][5:], tree["posterior"]["m"].values[1])
    other = gm.joint(m=dist.Normal(0.0, 1.0), y=lambda m: dist.Normal(m, 1.0)).condition(y=3.0)
    with pytest.raises(gm.SpecError, match=r"m has shape \(2,\) in the tree, \(\) in the model"):
        posterior_points("predict", tree, other)
    with pytest.raises(gm.SpecError, match="the tree has no posterior"):
        posterior_points("predict", gm.sample_prior(model, draws=2), model)


def test_what_is_redrawn_follows_the_given_point(model):
    m = np.array([[1.0, 2.0], [4.0, -1.5]], np.float32)
    found = completed(Interned.of(model), ("y",), jax.random.split(jax.random.key(0), 2), {"m": m}, False)
    np.testing.assert_allclose(found["y"], [3.0, 2.5], atol=1e-4)
    kept = completed(Interned.of(model), (), jax.random.split(jax.random.key(0), 2), {"m": m}, False)
    np.testing.assert_array_equal(kept["y"], [3.0, 3.0])


def test_a_group_is_replaced_and_the_rest_kept(model, tree):
    other = gm.sample_prior(model, draws=3)
    joined = with_group(tree, "prior", other)
    assert {*tree.children, "prior"} == set(joined.children)
    assert with_group(joined, "prior", gm.sample_prior(model, draws=4))["prior"].sizes["draw"] == 4


def test_variables_without_one_conditional_are_refused(model):
    twice = model * gm.joint(m=dist.Normal(1.0, 1.0).expand([2]))
    with pytest.raises(gm.SpecError, match="m is not drawn by exactly one conditional"):
        check_drawn("predict", twice, ("m",))
    check_drawn("predict", model, ("m", "y"))
