import numpy as np
import numpyro.distributions as dist
import optax

import gmdsl as gm


def test_the_minimum_is_the_mean_shrunk_towards_zero():
    """The derivative of penalty mu^2 + (mu - mean)^2 / 2 is zero at mean / (1 + 2 penalty)."""
    model = gm.joint(mu=gm.param(0.0), x=lambda mu: dist.Normal(mu, 1.0))
    data = {"x": np.array([1.0, 2.0, 6.0])}
    fit = gm.fit(model, data, gm.MyObjective(0.5), optimizer=optax.adam(0.05), steps=2000, progress=False)
    np.testing.assert_allclose(fit.model.params["mu"].value, 1.5, atol=1e-3)
    assert "towards zero" in fit.remark
