import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as st

from gmdsl.distributions.closed import counted, with_closed_ends


@pytest.mark.parametrize(
    ("law", "truth"),
    [
        (dist.Gamma(1.0, 2.0), np.log(2.0)),
        (dist.Gamma(2.0, 2.0), -np.inf),
        (dist.Gamma(0.5, 2.0), np.inf),
        (dist.Weibull(2.0, 1.0), -np.log(2.0)),
        (dist.Gamma(1.0, np.array([1.0, 2.0])).to_event(1), np.log(2.0)),
    ],
)
def test_the_density_at_the_end_is_the_limit_of_the_formula(law, truth, x64):
    np.testing.assert_allclose(with_closed_ends(law).log_prob(jnp.zeros(law.event_shape)), truth, rtol=1e-12)


def test_inside_of_the_support_the_density_is_the_same(x64):
    x = np.array([0.2, 1.0, 3.0])
    gamma, weibull = with_closed_ends(dist.Gamma(1.7, 2.0)), with_closed_ends(dist.Weibull(2.0, 1.7))
    np.testing.assert_allclose(gamma.log_prob(x), st.gamma(1.7, scale=0.5).logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(weibull.log_prob(x), st.weibull_min(1.7, scale=2.0).logpdf(x), rtol=1e-12)


def test_elements_under_a_mask_are_told_in_the_shape_of_a_draw():
    keep = jnp.array([True, False])
    law = dist.Normal(jnp.zeros((2, 3)), 1.0).to_event(1).mask(keep)
    np.testing.assert_array_equal(counted(law), np.array([[True] * 3, [False] * 3]))
    assert counted(dist.Normal(0.0, 1.0)) is None
