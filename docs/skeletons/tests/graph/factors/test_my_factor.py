import jax
import numpy as np
from scipy import stats

import gmdsl as gm
from gmdsl.graph.factors.my_factor import MyFactor


def test_it_is_the_conditional_of_laplace(x64):
    given = gm.Model((MyFactor("y", "m"),), (("y", gm.Real()),), inputs=(("m", gm.Real()),)).rename(y="x")
    density = gm.compile(given.condition(m=2.0))
    np.testing.assert_allclose(density.log_density({"x": -1.0}), stats.laplace.logpdf(-1.0, 2.0), rtol=1e-12)
    np.testing.assert_allclose(density.target.log_density(np.array([-1.0])), stats.laplace.logpdf(-1.0, 2.0))
    draws = given.condition(m=2.0).sample(jax.random.key(0), 10_000)["x"]
    assert abs(draws.mean() - 2.0) < 4.5 * np.sqrt(2.0 / 10_000)  # false alarms 7e-6
