import numpy as np
import numpyro.distributions as dist
import optax

import gmdsl as gm
from gmdsl.run.descent import descent


def test_the_fall_is_that_to_the_minimum_of_a_known_likelihood(x64):
    rows = np.random.default_rng(0).normal(2.0, 0.5, size=300)
    model = gm.joint(mu=gm.param(0.0), x=lambda mu: dist.Normal(mu, 1.0))
    fit = gm.fit(model, {"x": rows}, gm.MaximumLikelihood(), optimizer=optax.sgd(0.0), steps=3, progress=False)
    gain, error = descent(fit.end)
    np.testing.assert_allclose(gain, 0.5 * rows.mean() ** 2, rtol=1e-6)
    assert error < 1e-12
