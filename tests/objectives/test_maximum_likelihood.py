import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def test_the_loss_is_the_mean_negative_log_density(x64):
    model = gm.joint(m=gm.param(0.5), x=lambda m: dist.Laplace(m, 1.0).expand([2]))
    x = np.array([[0.0, 1.0], [2.0, -1.0], [0.3, 0.4]])
    loss, (state, metrics) = gm.MaximumLikelihood().loss(None, model, {"x": x}, ())
    np.testing.assert_allclose(loss, -np.mean(dist.Laplace(0.5, 1.0).log_prob(x).sum(axis=1)), rtol=1e-12)
    assert (state, metrics) == ((), {})


def test_an_energy_or_a_hidden_variable_is_refused_with_the_way_out():
    energy = gm.energy(lambda x, w: w * x**2, x=gm.Real(), w=gm.param(1.0))
    with pytest.raises(gm.SpecError, match=r"unnormalised.*gm.ContrastiveDivergence"):
        gm.fit(energy, {"x": [1.0]}, gm.MaximumLikelihood(), progress=False)
    latent = gm.joint(m=gm.param(0.0), z=dist.Normal(0, 1), x=lambda z, m: dist.Normal(z + m, 1.0))
    with pytest.raises(gm.SpecError, match="z has no data"):
        gm.fit(latent, {"x": [1.0]}, gm.MaximumLikelihood(), progress=False)
