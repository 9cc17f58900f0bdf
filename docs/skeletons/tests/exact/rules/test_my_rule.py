import numpy as np
import numpyro.distributions as dist
from scipy import stats

import gmdsl as gm
from gmdsl.exact.rules.my_rule import my_rule


def test_the_sum_is_that_by_hand(x64):
    model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(4.0 * k, 1.0))
    model = model.marginalize("k", rules=[my_rule])
    exact = np.log(0.7 * stats.norm.pdf(1.5) + 0.3 * stats.norm.pdf(1.5, 4.0))
    np.testing.assert_allclose(gm.compile(model).log_density({"x": 1.5}), exact, rtol=1e-12)
    assert "summed over two states" in gm.compile(model).explain()
