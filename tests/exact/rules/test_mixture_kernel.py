import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def clusters():
    return gm.mixture([0.3, 0.7], gm.joint(z=dist.Normal(-2.0, 1.0)), gm.joint(z=dist.Normal(2.0, 0.5)))


def kernel():
    return gm.joint(z=gm.input(gm.Real()), x=lambda z: dist.Normal(2.0 * z + 1.0, 0.3))


def test_a_mixture_under_a_gaussian_kernel_is_a_mixture(x64):
    density = gm.compile((clusters() * kernel()).marginalize("z"))
    for x in (-3.5, 0.2, 5.1):
        left, right = stats.norm.pdf(x, -3.0, np.hypot(2.0, 0.3)), stats.norm.pdf(x, 5.0, np.hypot(1.0, 0.3))
        np.testing.assert_allclose(density.log_density({"x": x}), np.log(0.3 * left + 0.7 * right), rtol=1e-12)
    assert density.explain().splitlines()[-1] == (
        "  z: integrated out, Gaussian mixture x Gaussian kernel, 2 components"
    )


def test_one_gaussian_is_left_to_the_other_rule_and_other_kernels_are_refused():
    one = gm.joint(z=dist.Normal(0.0, 1.0)) * kernel()
    assert gm.compile(one.marginalize("z")).explain().splitlines()[-1] == "  z: integrated out, linear-Gaussian"
    cauchy = gm.joint(z=gm.input(gm.Real()), x=lambda z: dist.Cauchy(z, 1.0))
    with pytest.raises(gm.SpecError, match=r"linear-Gaussian, Gaussian mixture: p\(x \| z\) is not Gaussian"):
        (clusters() * cauchy).marginalize("z")
