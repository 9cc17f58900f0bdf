import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.exact.elements import proved_axes, summed_terms, terms_by_state


def test_terms_of_each_element_and_state_add_up_to_the_density(x64):
    y = np.array([0.3, -1.0, 2.0])
    model = gm.joint(a=dist.Normal(0.0, 1.0), k=dist.Bernoulli(0.3).expand([3]), y=lambda k, a: dist.Normal(a + k, 1.0))
    values = {"a": jnp.array(0.2), "y": jnp.array(y)}
    axes = proved_axes(model, ("k",), values)
    assert axes == (None, (0,), (0,))
    apart, constant = terms_by_state(model, ("k",), values, axes)
    normal = lambda x: -0.5 * x**2 - 0.5 * np.log(2 * np.pi)  # noqa: E731
    truth = np.stack([np.log([0.7, 0.3][k]) + normal(y - 0.2 - k) for k in (0, 1)], axis=-1)
    np.testing.assert_allclose(apart, truth, rtol=1e-12)
    np.testing.assert_allclose(constant, normal(0.2), rtol=1e-12)
    np.testing.assert_allclose(summed_terms(model, ("k",), values, axes)[0], np.log(np.exp(truth).sum(-1)), rtol=1e-12)


def test_elements_that_mix_are_not_proved():
    model = gm.joint(k=dist.Bernoulli(0.3).expand([3]), y=lambda k: dist.Normal(k.sum(), 1.0))
    assert proved_axes(model, ("k",), {"y": jnp.array(0.0)}) is None
