import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def normal(mean, sd):
    return gm.joint(x=dist.Normal(mean, sd))


def two():
    return gm.mixture([0.3, 0.7], normal(-2.0, 0.5), normal(1.0, 1.5))


def test_responsibilities_are_the_posterior_of_the_label(x64):
    weighed = np.array([0.3 * stats.norm.pdf(0.1, -2.0, 0.5), 0.7 * stats.norm.pdf(0.1, 1.0, 1.5)])
    for values in ({"x": 0.1}, 0.1):
        np.testing.assert_allclose(two().responsibilities(values), weighed / weighed.sum(), rtol=1e-12)
    many = jax.vmap(lambda x: two().responsibilities({"x": x}))(jnp.linspace(-1.0, 1.0, 5))
    np.testing.assert_allclose(many.sum(1), 1.0, rtol=1e-12)
    with pytest.raises(gm.SpecError, match="is not a mixture"):
        normal(0.0, 1.0).responsibilities({"x": 0.1})
    with pytest.raises(gm.SpecError, match="there is no 'y'"):
        two().responsibilities({"y": 0.1})
    with pytest.raises(gm.SpecError, match=r"x has shape \(2,\), but was declared \(\)"):
        two().responsibilities({"x": jnp.zeros(2)})


def test_inputs_are_given_with_the_point_and_two_mixtures_are_refused(x64):
    def part(scale):
        return gm.joint(a=gm.input(gm.Real()), x=lambda a: dist.Normal(scale * a, 1.0))

    model = gm.mixture([0.5, 0.5], part(1.0), part(-1.0))
    first = 1.0 / (1.0 + np.exp(-2.0 * 0.7 * 1.5))  # the odds are exp((x + a)^2 / 2 - (x - a)^2 / 2) = exp(2 x a)
    np.testing.assert_allclose(model.responsibilities({"x": 0.7, "a": 1.5}), [first, 1.0 - first], rtol=1e-12)
    with pytest.raises(gm.SpecError, match="a is missing; give x, a"):
        model.responsibilities(0.7)
    with pytest.raises(gm.SpecError, match="has 2 mixtures"):
        (two() * two().rename(x="y")).responsibilities({"x": 0.1, "y": 0.1})
