import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm
from gmdsl.exact.gaussian.from_model import gaussian_mixture
from tests.exact.gaussian.paths import F, Q, tracked

pytestmark = pytest.mark.usefixtures("x64")


def tracking(u):
    return tracked(u, y=lambda x: dist.Normal(x[:, 0], 0.5))


def by_recursion(u):
    """Mean and covariance of the stacked path, one step after the other."""
    count = len(u)
    mean, C = np.zeros((count, 2)), np.zeros((count, 2, count, 2))
    mean[0], C[0, :, 0] = u[0], np.eye(2)
    for t in range(1, count):
        mean[t] = F @ mean[t - 1] + u[t]
        for s in range(t):
            C[t, :, s] = F @ C[t - 1, :, s]
            C[s, :, t] = C[t, :, s].T
        C[t, :, t] = F @ C[t - 1, :, t - 1] @ F.T + Q
    return mean, C


def test_a_vector_path_is_the_gaussian_of_its_recursion():
    u = np.random.default_rng(0).normal(size=(5, 2))
    mean, C = by_recursion(u)
    prior = tracking(u).marginalize("y")
    form = gaussian_mixture(prior)
    np.testing.assert_allclose(form.means[0], mean.ravel(), rtol=1e-12)
    np.testing.assert_allclose(form.covariances[0], C.reshape(10, 10), rtol=1e-12, atol=1e-14)


def test_a_latent_path_is_integrated_out():
    u, y = np.random.default_rng(1).normal(size=(5, 2)), np.arange(5.0)
    mean, C = by_recursion(u)
    law = stats.multivariate_normal(mean[:, 0], C[:, 0, :, 0] + 0.25 * np.eye(5))
    found = gm.compile(tracking(u).marginalize("x").condition(y=y)).log_density({})
    np.testing.assert_allclose(found, law.logpdf(y), rtol=1e-12)


def test_the_drift_of_a_path_is_integrated_out_with_it():
    model = gm.joint(
        drift=dist.Normal(0.5, 2.0),
        s=dist.HalfNormal(1.0),
        x=gm.scan(
            lambda before, drift, s: dist.Normal(before + drift, s), first=lambda s: dist.Normal(0.0, s), length=4
        ),
        y=lambda x: dist.Normal(x, 0.3),
    ).marginalize("x", "drift")
    t = np.arange(4.0)
    s, y = 0.7, np.array([0.3, 1.0, 0.8, 2.5])
    C = s**2 * np.minimum.outer(t + 1, t + 1) + 4.0 * np.outer(t, t) + 0.09 * np.eye(4)
    expected = stats.multivariate_normal(0.5 * t, C).logpdf(y) + stats.halfnorm.logpdf(s)
    np.testing.assert_allclose(gm.compile(model.condition(y=y)).log_density({"s": s}), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "node",
    [
        lambda: gm.scan(lambda before: dist.Normal(before**2, 1.0), first=dist.Normal(0.0, 1.0), length=4),
        lambda: gm.scan(lambda before: dist.Normal(0.0, jnp.exp(before)), first=dist.Normal(0.0, 1.0), length=4),
        lambda: gm.scan(lambda before: dist.StudentT(3.0, before, 1.0), first=dist.Normal(0.0, 1.0), length=4),
        lambda: gm.scan(lambda before, c: (c, dist.Normal(c, 1.0)), first=dist.Normal(0.0, 1.0), length=4, carry=1.0),
    ],
)
def test_what_is_not_proved_is_refused(node):
    model = gm.joint(x=node(), y=lambda x: dist.Normal(x, 1.0))
    with pytest.raises(gm.SpecError, match=r"linear-Gaussian.*: p\(x\) is not Gaussian"):
        model.marginalize("x")
