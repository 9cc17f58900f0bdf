import jax.numpy as jnp
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


@pytest.mark.parametrize(
    "sampler", [gm.SMC(gm.MALA()), gm.AIS(gm.MALA()), gm.ImportanceSampling(2000), gm.NestedSampling(live=100)]
)
def test_nan_is_warned_of_and_doubted_and_counts_as_no_density(sampler):
    """A root of x + 1 cuts the target at -1: log Z = log(sqrt(2 pi) Phi(1))."""
    cut = gm.energy(lambda x: 0.5 * x**2 + 0.0 * jnp.sqrt(x + 1.0), x=gm.Real())
    path = gm.temper(cut, gm.joint(x=dist.Normal(0.0, 1.5)))
    with pytest.warns(gm.NaNWarning, match="NaN at .* %"):
        found = gm.log_z(path, sampler)
    assert abs(found.log_z - np.log(np.sqrt(2 * np.pi) * 0.8413447)) < 4.5 * found.standard_error
    assert found.status == "suspect"
    assert "NaN" in found.verdict.evidence


def test_no_density_is_no_nan(recwarn):
    wall = gm.energy(lambda x: jnp.where(x > -1.0, 0.5 * x**2, jnp.inf), x=gm.Real())
    tree = gm.sample(gm.temper(wall, gm.joint(x=dist.Normal(0.0, 1.5))), gm.SMC(gm.MALA()))
    assert tree.attrs["nan_share"] == 0.0
    assert not [one for one in recwarn if issubclass(one.category, gm.NaNWarning)]
