import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.exact.gaussian.from_energy import quadratic

pytestmark = pytest.mark.usefixtures("x64")

P = np.array([[2.0, 0.6, 0.1], [0.6, 1.5, -0.2], [0.1, -0.2, 1.0]])
B = np.array([0.3, -1.0, 0.5])


def test_a_quadratic_energy_over_two_variables_is_the_gaussian_of_the_books():
    def energy(x, y, P, B):
        u = jnp.concatenate([x, y[None]])
        return 0.5 * u @ P @ u - B @ u + 0.7

    found = quadratic(gm.energy(energy, x=gm.Real(2), y=gm.Real(), P=gm.data(P), B=gm.data(B)))
    covariance = np.linalg.inv(P)
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-12)
    np.testing.assert_allclose(found.mean, covariance @ B, rtol=1e-12)
    log_z = -0.7 + 0.5 * B @ covariance @ B + 0.5 * np.linalg.slogdet(2.0 * np.pi * covariance)[1]
    np.testing.assert_allclose(found.log_z, log_z, rtol=1e-12)


def test_a_product_of_gaussian_experts_has_the_constant_of_quadrature():
    model = gm.joint(x=dist.Normal(1.0, 2.0)) * gm.joint(x=dist.Normal(-1.0, 0.5)) ** 2.0
    np.testing.assert_allclose(quadratic(model).log_z, gm.log_normalizer(model).log_z, rtol=1e-9)


def test_conditionals_beside_an_energy_are_read_through():
    model = gm.joint(x=dist.Normal(0.3, 2.0), m=lambda x: 2.0 * x, y=lambda m: dist.Normal(m, 0.5))
    model = model * gm.energy(lambda y: 0.8 * (y - 1.0) ** 2, y=gm.Real())
    found, exact = quadratic(model), gm.log_normalizer(model).log_z
    np.testing.assert_allclose(found.log_z, exact, rtol=1e-9)
    precision = np.array([[0.25 + 16.0, -8.0], [-8.0, 4.0 + 1.6]])
    np.testing.assert_allclose(found.covariance, np.linalg.inv(precision), rtol=1e-10)
    np.testing.assert_allclose(found.mean, np.linalg.solve(precision, [0.3 / 4.0, 1.6]), rtol=1e-10)


@pytest.mark.parametrize(
    "model",
    [
        gm.energy(lambda x: x**4, x=gm.Real()),
        gm.energy(lambda x: jnp.abs(x), x=gm.Real()),
        gm.energy(lambda x: x**2, x=gm.Positive()),
        gm.energy(lambda x: 2.0 * x, x=gm.Real()),
        gm.energy(lambda s: -s, s=gm.Spin()),
        gm.joint(x=dist.Laplace(0.0, 1.0)),
        gm.joint(x=dist.Normal(0.0, 1.0), y=lambda x: dist.Normal(0.0, jnp.exp(x))),
        gm.joint(x=dist.Normal(0.0, 1.0), y=lambda x: dist.Normal(x**2, 1.0)),
    ],
)
def test_what_is_not_quadratic_on_the_whole_line_is_none(model):
    assert quadratic(model) is None
