import jax
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import gmdsl as gm
from gmdsl.exact.linear_gaussian import children_log_density, component_count

SHAPE = jax.ShapeDtypeStruct((), float)


def test_components_multiply_and_the_density_is_the_mixture_of_all_pairs(x64):
    def pair(mean):
        return dist.MixtureSameFamily(dist.Categorical(np.array([0.4, 0.6])), dist.Normal(mean, np.array([1.0, 2.0])))

    model = gm.joint(z=pair(np.array([-1.0, 3.0])), x=lambda z: pair(z + np.array([0.0, 5.0])))
    assert component_count(model, ("z",), {"x": SHAPE}) == 4
    truth = sum(
        w * v * stats.norm.pdf(0.7, m + b, np.hypot(s, r))
        for w, m, s in [(0.4, -1.0, 1.0), (0.6, 3.0, 2.0)]
        for v, b, r in [(0.4, 0.0, 1.0), (0.6, 5.0, 2.0)]
    )
    np.testing.assert_allclose(children_log_density(model, ("z",), {"x": 0.7}), np.log(truth), rtol=1e-12)


def test_the_reason_names_the_factor_that_is_not_gaussian(x64):
    model = gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z**2, 1.0))
    assert component_count(model, ("z",), {"x": SHAPE}) == (
        "p(x | z) is not Gaussian with a mean affine in z and a covariance free of it"
    )
