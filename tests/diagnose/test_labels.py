"""What the model tells of labels reaches the report."""

import jax.numpy as jnp
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.diagnose.labels import labels_of

CLEAR = [-6.0, -5.5, 0.1, 5.8, 6.1]


def mixture():
    return gm.joint(
        z=dist.Categorical(jnp.array([0.5, 0.5])).expand([5]),
        y=lambda z: dist.Normal(jnp.array([-6.0, 6.0])[z], 3.0),
    ).condition(y=CLEAR)


def run(model):
    return gm.sample(model, gm.Gibbs(), chains=4, draws=200, warmup=50, seed=0, progress=False)


def test_labels_of_clear_data_may_stand_still_and_others_may_not():
    model = mixture()
    found = labels_of(run(model), model)
    assert found.finding.status == "ok"
    assert not found.certain["z"][:, 2].any()
    assert found.certain["z"].shape == (4, 5)
    assert gm.check(run(model), model)["full conditionals"].status == "ok"


def test_a_model_without_labels_and_no_model_tell_nothing():
    smooth = gm.joint(x=dist.Normal(0.0, 1.0))
    tree = gm.sample(smooth, gm.NUTS(), draws=20, warmup=50, progress=False)
    assert labels_of(tree, smooth).finding is None
    assert labels_of(tree, None).certain == {}
