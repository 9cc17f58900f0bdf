import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


@pytest.fixture
def path():
    return gm.temper(gm.energy(lambda x: 2.0 * (x - 2.0) ** 2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 1.0)))


def test_draws_are_resampled_and_the_weighted_particles_are_kept(path):
    tree = gm.sample(path, gm.AIS(gm.MALA(), particles=3000, temperatures=30))
    x = tree["posterior"]["x"].values
    assert x.shape == (1, 3000)
    assert abs(x.mean() - 2.0) < 4.5 * 0.5 / np.sqrt(tree.attrs["weight_ess"])
    assert tree["particles"]["log_weight"].shape == (1, 3000)
    report = gm.check(tree)
    assert report["weights"].status == "ok"


def test_models_and_samplers_of_the_other_kind_are_refused(path):
    with pytest.raises(gm.SpecError, match="a path is needed first, not Model"):
        gm.sample(path.target, gm.AIS(gm.MALA()))
    with pytest.raises(gm.SpecError, match="a path sampler is needed, not NUTS"):
        gm.sample(path, gm.NUTS())
