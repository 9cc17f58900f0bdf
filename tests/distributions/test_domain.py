import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions.distribution import validation_enabled

from gmdsl.distributions.domain import in_domain, log_prob, parameters

NAMES = ("scale", "probs", "rate", "covariance_matrix", "scale_tril", "concentration", "gate", "total_count")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: dist.Normal(0.0, jnp.array([1.0, -1.0, 0.0])), [True, False, False]),
        (lambda: dist.Normal(jnp.zeros((2, 3)), jnp.array([1.0, -1.0, 1.0])), [[True, False, True]]),
        (lambda: dist.Normal(0.0, jnp.array([[1.0], [-1.0]])).expand([2, 3]), [[True], [False]]),
        (lambda: dist.Normal(0.0, jnp.array([[1.0, 1.0], [1.0, -1.0]])).to_event(1), [True, False]),
        (lambda: dist.Normal(0.0, jnp.array([1.0, -1.0])).mask(jnp.array([True, False])), [True, True]),
        (lambda: dist.LogNormal(0.0, jnp.array([1.0, -1.0])), [True, False]),
        (lambda: dist.HalfNormal(jnp.array([1.0, -1.0])), [True, False]),
        (lambda: dist.Binomial(10, probs=jnp.array([0.5, 1.2, 0.0])), [True, False, True]),
        (lambda: dist.Poisson(jnp.array([0.5, -1.2])), [True, False]),
        (lambda: dist.Categorical(probs=jnp.array([[0.5, 0.5], [0.7, 0.7], [1.5, -0.5]])), [True, False, False]),
        (lambda: dist.ZeroInflatedPoisson(jnp.array([0.5, 1.5]), 1.0), [True, False]),
        (
            lambda: dist.MixtureSameFamily(
                dist.Categorical(probs=jnp.ones(2) / 2), dist.Normal(0.0, jnp.array([[1.0, 2.0], [1.0, -2.0]]))
            ),
            [True, False],
        ),
        (
            lambda: dist.MultivariateNormal(
                jnp.zeros(2), covariance_matrix=jnp.array([[[2.0, 1.0], [1.0, 2.0]], [[2.0, 1.0], [-1.0, 2.0]]])
            ),
            [True, False],
        ),
        (lambda: dist.Normal(0.0, jnp.array([jnp.nan, 1.0])), [True, True]),
    ],
)
def test_each_element_of_the_batch_is_judged(make, expected):
    with validation_enabled(False):
        found = in_domain(make(), NAMES)
    assert np.array_equal(np.broadcast_to(found, np.shape(expected)), expected)


def test_only_the_named_parameters_are_looked_at():
    with validation_enabled(False):
        law = dist.Normal(0.0, jnp.array([1.0, -1.0]))
    assert np.isneginf(log_prob(law, 0.5, ("scale",))).tolist() == [False, True]
    assert np.isfinite(log_prob(law, 0.5, ("rate",))[0])
    assert [name for name, _, _ in parameters(law.expand([3, 2]).to_event(1))] == ["loc", "scale"]


def test_outside_the_derivative_is_that_of_a_constant_and_inside_its_own():
    with validation_enabled(False):
        slope = jax.grad(lambda p: log_prob(dist.Binomial(10, probs=p), 7, ("probs",)))
        assert slope(1.2) == 0.0
        np.testing.assert_allclose(slope(0.4), 7 / 0.4 - 3 / 0.6, rtol=1e-5)
