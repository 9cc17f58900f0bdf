import jax.numpy as jnp
import numpy as np
from scipy import stats

from gmdsl.exact.gaussian.gaussian_mixture import GaussianMixture, extended, mixed, nothing, too_large

C = np.array([[2.0, 0.6], [0.6, 1.0]])


def pair():
    return GaussianMixture(jnp.log(jnp.array([0.3, 0.7])), jnp.array([[0.0, 1.0], [2.0, -1.0]]), jnp.stack([C, 2 * C]))


def density(x):
    return 0.3 * stats.multivariate_normal([0, 1], C).pdf(x) + 0.7 * stats.multivariate_normal([2, -1], 2 * C).pdf(x)


def test_the_density_is_that_of_the_mixture(x64):
    np.testing.assert_allclose(pair().log_density(jnp.array([0.5, 0.2])), np.log(density([0.5, 0.2])), rtol=1e-6)


def test_marginal_times_conditional_is_the_joint(x64):
    x = jnp.array([0.5, 0.2])
    for given in (0, 1):
        rest = 1 - given
        over = pair().marginal(np.array([given])).log_density(x[given][None])
        under = pair().conditional(np.array([given]), x[given][None]).log_density(x[rest][None])
        np.testing.assert_allclose(over + under, pair().log_density(x), rtol=1e-12)


def test_a_linear_conditional_extends_every_component(x64):
    def conditional(u):
        means = jnp.stack([2.0 * u, u + 5.0])
        return GaussianMixture(jnp.log(jnp.array([0.5, 0.5])), means, jnp.ones((2, 1, 1)))

    start = GaussianMixture(jnp.zeros(1), jnp.array([[1.0]]), jnp.array([[[3.0]]]))
    found = extended(start, conditional, 1)
    np.testing.assert_allclose(found.means, [[1.0, 2.0], [1.0, 6.0]])
    np.testing.assert_allclose(found.covariances, [[[3.0, 6.0], [6.0, 13.0]], [[3.0, 3.0], [3.0, 4.0]]])


def test_a_mean_that_bends_or_a_covariance_that_moves_is_no_extension():
    start = GaussianMixture(jnp.zeros(1), jnp.zeros((1, 1)), jnp.ones((1, 1, 1)))
    ones = jnp.ones((1, 1, 1))
    assert extended(start, lambda u: GaussianMixture(jnp.zeros(1), (u**2)[None], ones), 1) is None
    assert extended(start, lambda u: GaussianMixture(jnp.zeros(1), u[None], ones * u**2), 1) is None
    assert extended(start, lambda u: GaussianMixture(u, u[None], ones), 1) is None
    assert extended(start, lambda u: None, 1) is None


def test_mixtures_are_mixed_by_weight(x64):
    one, other = (pair().marginal(np.array([i])) for i in (0, 1))
    both, x = mixed(jnp.log(jnp.array([0.25, 0.75])), [one, other]), jnp.array([0.4])
    exact = 0.25 * np.exp(one.log_density(x)) + 0.75 * np.exp(other.log_density(x))
    np.testing.assert_allclose(both.log_density(x), np.log(exact), rtol=1e-12)
    assert nothing().means.shape == (1, 0)


def test_what_is_too_large_is_known_before_it_is_built():
    assert too_large(10_000, 1)
    assert too_large(1, 10_000)
    assert not too_large(40, 100)
