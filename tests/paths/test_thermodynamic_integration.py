import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

START, END, MEAN = 0.25, 4.0, 1.5  # precisions of the reference and the target, and where the target has its mean


def gaussian_path():
    target = gm.energy(lambda x: 0.5 * END * (x - MEAN) ** 2, x=gm.Real())
    return gm.temper(target, gm.joint(x=dist.Normal(0.0, 1.0 / np.sqrt(START))))


def exact_curve(betas):
    """Means and variances of log p - log q along the path, whose laws are normal."""
    precision = (1.0 - betas) * START + betas * END
    mean, variance = betas * END * MEAN / precision, 1.0 / precision
    square, linear = 0.5 * (START - END), END * MEAN  # log p - log q = square x^2 + linear x + constant
    constant = -0.5 * END * MEAN**2 + 0.5 * np.log(2.0 * np.pi / START)
    height = square * (mean**2 + variance) + linear * mean + constant
    slope = (2.0 * square * mean + linear) ** 2 * variance + 2.0 * square**2 * variance**2
    return height, slope


@pytest.fixture(scope="module")
def found():
    return gm.log_z(gaussian_path(), gm.ThermodynamicIntegration(gm.HMC(steps=4), temperatures=20), draws=3000)


def test_log_z_of_a_gaussian_is_exact_within_its_error(found):
    exact = 0.5 * np.log(2.0 * np.pi / END)
    assert abs(found.log_z - exact) < 4.5 * found.standard_error < 0.4
    assert found.status == "ok"
    trapezoid = np.trapezoid(found.curve["mean"], found.curve["betas"])
    assert abs(found.log_z - exact) < abs(trapezoid - exact)  # the correction improves it


def test_the_curve_is_that_of_the_closed_form(found):
    """Twenty-one means by |z| < 4.5 at 1,000 effective draws of 12,000, chance 1e-4; variances within 15 %."""
    betas = found.curve["betas"]
    np.testing.assert_allclose(betas, (np.arange(21) / 20) ** 4, atol=1e-6)
    height, slope = exact_curve(betas)
    assert (np.abs(found.curve["mean"] - height) < 4.5 * np.sqrt(slope / 1000)).all()
    np.testing.assert_allclose(found.curve["slope"], slope, rtol=0.15)


def test_more_temperatures_bring_a_smaller_error_of_the_steps():
    few, many = (
        gm.log_z(gaussian_path(), gm.ThermodynamicIntegration(gm.HMC(steps=4), temperatures=k), draws=500)
        for k in (4, 30)
    )
    assert few.standard_error > 3.0 * many.standard_error


def test_the_evidence_of_a_conditioned_joint_agrees_with_other_methods():
    y = np.array([1.3, 0.2, 2.9])
    joint = gm.joint(rate=dist.Gamma(2.0, 1.0), y=lambda rate: dist.Exponential(rate).expand([3]))
    exact = np.log(24.0) - 5.0 * np.log(1.0 + y.sum())  # Gamma(5) / Gamma(2) / (1 + sum y)^5
    both = gm.log_z(
        joint.condition(y=y), [gm.ThermodynamicIntegration(gm.MALA(), temperatures=12), gm.SMC(gm.MALA())], draws=1000
    )
    assert abs(both.rows[0].log_z - exact) < 4.5 * both.rows[0].standard_error < 0.4
    assert both.worst < 4.0


def test_discrete_variables_and_targets_without_density_at_the_reference():
    coupled = gm.energy(lambda s: -1.2 * s[0] * s[1] + 0.4 * s[1], s=gm.Binary(2))
    path = gm.temper(coupled, gm.joint(s=dist.Bernoulli(jnp.full(2, 0.5))))
    found = gm.log_z(path, gm.ThermodynamicIntegration(gm.Gibbs(), temperatures=4), draws=1000)
    assert abs(found.log_z - np.log(2.0 + np.exp(-0.4) + np.exp(0.8))) < 4.5 * found.standard_error < 0.2
    wall = gm.temper(gm.energy(lambda x: jnp.where(x > 0, x, jnp.inf), x=gm.Real()), gm.joint(x=dist.Normal(0.0, 1.0)))
    lost = gm.log_z(wall, gm.ThermodynamicIntegration(gm.RandomWalk(), temperatures=4), draws=100)
    assert lost.status == "failed"
    assert "no density" in lost.verdict.evidence


def test_what_does_not_fit_is_refused():
    with pytest.raises(gm.SpecError, match="Take an exact kernel"):
        gm.ThermodynamicIntegration(gm.Langevin(0.1))
    with pytest.raises(gm.SpecError, match="over rungs that stay"):
        gm.ThermodynamicIntegration(gm.MALA(), temperatures=gm.adapt.EffectiveSize(0.9))
    with pytest.raises(gm.SpecError, match=r"power=0"):
        gm.ThermodynamicIntegration(gm.MALA(), power=0)
    with pytest.raises(gm.SpecError, match=r"ThermodynamicIntegration\(...\)\): a path is needed first"):
        gm.log_z(gm.energy(lambda x: x**2, x=gm.Real()), gm.ThermodynamicIntegration(gm.MALA()))
    with pytest.raises(gm.SpecError, match="at least 4 draws"):
        gm.log_z(gaussian_path(), gm.ThermodynamicIntegration(gm.MALA(), temperatures=2), draws=2)
