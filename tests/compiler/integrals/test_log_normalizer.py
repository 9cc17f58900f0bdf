import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.compiler.integrals.log_normalizer import integrated

Y, SIGMA = [28.0, 8, -3, 7, -1, 1, 18, 12], [15.0, 10, 16, 11, 9, 11, 10, 18]


def schools():
    return gm.joint(
        mu=dist.Normal(0.0, 10.0),
        log_tau=dist.Normal(5.0, 1.0),
        theta=lambda mu, log_tau: dist.Normal(mu, jnp.exp(log_tau)).expand([8]),
        sigma=gm.data(SIGMA),
        y=lambda theta, sigma: dist.Normal(theta, sigma),
    ).condition(y=Y)


def test_the_evidence_of_eight_schools_by_a_rule_and_quadrature():
    found = gm.log_normalizer(schools())
    np.testing.assert_allclose(found.log_z, -36.13081591123589, atol=1e-9)
    assert found.method.endswith("quadrature over log_tau")
    assert 0 < found.error < 1e-8


def test_a_normalised_model_needs_no_integral():
    found = gm.log_normalizer(gm.joint(x=dist.Normal(0, 1).expand([50])))
    assert (found.log_z, found.error, found.method) == (0.0, 0.0, "normalised by construction")


def test_a_linear_gaussian_evidence_is_exact_in_any_dimension():
    model = gm.joint(z=dist.Normal(1.0, 2.0).expand([9]), x=lambda z: dist.Normal(jnp.sum(z), 0.5)).condition(x=3.0)
    found = gm.log_normalizer(model)
    np.testing.assert_allclose(found.log_z, stats.norm.logpdf(3.0, 9.0, np.sqrt(36.25)), rtol=1e-12)
    assert "linear-Gaussian" in found.method


def test_discrete_variables_are_summed_and_the_rest_is_integrated(x64):
    model = gm.joint(k=dist.Categorical(np.array([0.3, 0.7])), x=lambda k: dist.Normal(5.0 * k, 1.0)) ** 2.0
    found = gm.log_normalizer(model)
    np.testing.assert_allclose(found.log_z, np.log((0.09 + 0.49) / (2 * np.sqrt(np.pi))), rtol=1e-10)
    assert found.method == "k: summed out, 2 states; quadrature over x"


def test_a_discrete_energy_is_summed():
    pair = gm.energy(lambda s: -0.7 * jnp.float32(s[0] * s[1]) - 0.2 * s[0], s=gm.Spin(2))
    states = [0.7 * a * b + 0.2 * a for a in (-1, 1) for b in (-1, 1)]
    found = gm.log_normalizer(pair)
    np.testing.assert_allclose(found.log_z, np.log(np.exp(states).sum()), rtol=1e-7)
    assert found.method.startswith("sum over s")


def test_a_compiled_density_knows_its_normalizer():
    density = gm.compile(gm.energy(lambda x: 0.5 * x**2, x=gm.Real()))
    assert float(density.log_normalizer()) == pytest.approx(0.5 * np.log(2 * np.pi), abs=1e-12)


def test_what_is_kept_is_not_integrated():
    assert integrated(schools(), ("mu", "theta")).free == ("mu", "log_tau", "theta")
    assert integrated(schools(), ("mu",)).free == ("mu", "log_tau")


def test_too_many_dimensions_name_the_estimator():
    with pytest.raises(gm.SpecError, match=r"x have 6 dimensions.*gm\.log_z\(gm\.temper"):
        gm.log_normalizer(gm.energy(lambda x: x @ x, x=gm.Real(6)))
    with pytest.raises(gm.SpecError, match="a model is needed, not int"):
        gm.log_normalizer(3)
    with pytest.raises(gm.SpecError, match=r"gm\.Quadrature"):
        gm.log_normalizer(schools(), gm.NUTS())
