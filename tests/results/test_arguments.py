import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import gmdsl as gm
from gmdsl.results.arguments import is_tree, tree_and_model

MODEL = gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(mu, 1.0)).condition(y=0.3)


@pytest.fixture(scope="module")
def tree():
    return gm.sample(MODEL, gm.NUTS(), draws=100, warmup=100, progress=False)


def test_both_orders_are_one():
    tree = xarray.DataTree()
    assert tree_and_model(tree, MODEL) == (tree, MODEL)
    assert tree_and_model(MODEL, tree) == (tree, MODEL)
    assert tree_and_model(1, 2) == (1, 2)
    assert not is_tree(MODEL)


def test_every_verb_of_a_tree_and_a_model_takes_both_orders(tree):
    for one, other in (
        (gm.predict(tree, MODEL), gm.predict(MODEL, tree)),
        (gm.log_likelihood(MODEL, tree), gm.log_likelihood(tree, MODEL)),
    ):
        group = next(name for name in one.children if name not in tree.children)
        np.testing.assert_array_equal(one[group]["y"].values, other[group]["y"].values)
    assert str(gm.check(tree, MODEL)) == str(gm.check(MODEL, tree))


def test_what_is_neither_is_refused_by_name(tree):
    with pytest.raises(gm.SpecError, match=r"predict\(...\): a model and a tree are needed, not float and Model"):
        gm.predict(1.0, MODEL)
    with pytest.raises(gm.SpecError, match=r"log_likelihood\(...\): a model and a tree are needed, not Model and str"):
        gm.log_likelihood(MODEL, "run")
