import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.run.population import _estimate, _systematic


@pytest.fixture
def path():
    return gm.temper(gm.energy(lambda x: 2.0 * (x - 2.0) ** 2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 1.0)))


class Fake:
    betas, curve = np.array([0.0, 1.0]), np.array([0.0, 0.0])


def test_the_estimate_is_the_log_mean_weight_with_a_jackknife_error():
    weight = np.random.default_rng(0).gamma(2.0, 1.0, 10_000)
    found = _estimate(np.log(weight), Fake(), "")
    np.testing.assert_allclose(found.log_z, np.log(weight.mean()), rtol=1e-12)
    assert abs(found.standard_error / (weight.std() / weight.mean() / 100) - 1) < 0.6
    np.testing.assert_allclose(found.ess, weight.sum() ** 2 / (weight**2).sum(), rtol=1e-12)


def test_no_weight_at_all_is_minus_infinity_and_failed_without_nan():
    found = _estimate(np.full(10, -np.inf), Fake(), "")
    assert found.log_z == -np.inf
    assert found.ess == 0.0
    assert found.status == "failed"


def test_resampling_repeats_particles_by_their_weight():
    log_weight = np.log(np.array([0.1, 0.2, 0.7] + [1e-300] * 997))
    counts = np.bincount(_systematic(log_weight, 0), minlength=1000)
    assert np.abs(counts[:3] - [100, 200, 700]).max() <= 1
    assert counts.sum() == 1000


def test_draws_are_resampled_and_the_weighted_particles_are_kept(path):
    tree = gm.sample(path, gm.AIS(gm.MALA(), particles=3000, temperatures=30))
    x = tree["posterior"]["x"].values
    assert x.shape == (1, 3000)
    assert abs(x.mean() - 2.0) < 4.5 * 0.5 / np.sqrt(tree.attrs["weight_ess"])
    assert tree["particles"]["log_weight"].shape == (1, 3000)
    report = gm.check(tree)
    assert report["weights"].status == "ok"


def test_several_methods_give_an_agreement_table(path):
    table = gm.log_z(path, [gm.AIS(gm.MALA(), particles=500, temperatures=20), gm.AIS(gm.HMC(), particles=500)])
    assert table.worst < 4.5
    assert "largest gap" in str(table)
    assert len(str(table).splitlines()) == 4


def test_models_and_samplers_of_the_other_kind_are_refused(path):
    with pytest.raises(gm.SpecError, match="a path is needed first, not Model"):
        gm.sample(path.target, gm.AIS(gm.MALA()))
    with pytest.raises(gm.SpecError, match="a path sampler is needed, not NUTS"):
        gm.sample(path, gm.NUTS())
