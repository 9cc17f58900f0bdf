"""Entropies and divergences against closed forms, with the identities of the tutorial."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def test_gaussians_have_closed_forms_whatever_the_order_of_their_variables(x64):
    p = gm.joint(a=dist.Normal(1.0, 2.0), b=lambda a: dist.Normal(0.5 * a, 1.0))
    q = gm.joint(b=dist.Normal(0.0, 1.5), a=lambda b: dist.Normal(-b, 3.0))
    mean, covariance = np.array([1.0, 0.5]), np.array([[4.0, 2.0], [2.0, 2.0]])
    other = np.array([[2.25 + 9.0, -2.25], [-2.25, 2.25]])
    exact = 0.5 * (
        np.trace(np.linalg.solve(other, covariance)) + mean @ np.linalg.solve(other, mean) - 2
        + np.log(np.linalg.det(other) / np.linalg.det(covariance))
    )  # fmt: skip
    assert float(gm.kl(p, q)) == pytest.approx(exact, rel=1e-12)
    assert gm.kl(p, q).method == "closed form of two Gaussians"
    assert float(gm.entropy(p)) == pytest.approx(stats.multivariate_normal(mean, covariance).entropy(), rel=1e-12)
    assert float(gm.kl(p, q, gm.Quadrature())) == pytest.approx(exact, rel=1e-6)


def test_energies_are_integrated_with_their_constants(x64):
    """exp(-3 x) on x > 0 is an exponential law, log Z = -log 3."""
    p = gm.energy(lambda x: 3.0 * x, x=gm.Positive())
    q = gm.joint(x=dist.Gamma(2.0, 1.0))
    assert float(gm.entropy(p)) == pytest.approx(1.0 - np.log(3.0), abs=1e-8)
    exact = np.log(3.0) - 1.0 + 1.0 / 3.0 - (np.log(1.0 / 3.0) - np.euler_gamma)
    assert float(gm.kl(p, q)) == pytest.approx(exact, abs=1e-7)
    assert "quadrature over x" in gm.kl(p, q).method


def test_discrete_models_are_summed(x64):
    p = gm.joint(k=dist.Categorical(jnp.array([0.5, 0.3, 0.2])))
    q = gm.energy(lambda k: 0.7 * k, k=gm.Categorical(3))
    shares, other = np.array([0.5, 0.3, 0.2]), np.exp(-0.7 * np.arange(3))
    other /= other.sum()
    assert float(gm.entropy(p)) == pytest.approx(stats.entropy(shares), rel=1e-12)
    assert float(gm.kl(p, q)) == pytest.approx(stats.entropy(shares, other), rel=1e-10)
    assert float(gm.kl(q, p)) == pytest.approx(stats.entropy(other, shares), rel=1e-10)


def test_many_dimensions_are_drawn_and_the_error_covers():
    """Four seeds of Gammas in 8 dimensions: each within 4.5 errors (one false alarm in 36,000)."""
    p, q = gm.joint(x=dist.Gamma(2.0, 1.0).expand([8])), gm.joint(x=dist.Gamma(3.0, 2.0).expand([8]))
    one = stats.gamma(2.0).expect(lambda x: stats.gamma.logpdf(x, 2.0) - stats.gamma.logpdf(x, 3.0, scale=0.5))
    for seed in range(4):
        found = gm.kl(p, q, seed=seed)
        assert abs(float(found) - 8 * one) < 4.5 * float(found.error)
        assert float(found.error) < 0.1
        assert "independent draws" in found.method


def test_the_divergence_of_data_is_entropy_and_likelihood(x64):
    """KL(p || q) = -H(p) - E_p[log q], and it splits at the best of an exponential family (Pythagoras)."""
    p = gm.mixture([0.3, 0.7], gm.joint(x=dist.Normal(-1.0, 0.5)), gm.joint(x=dist.Normal(2.0, 1.0)))
    q = gm.joint(x=dist.Normal(0.0, 2.0))
    likelihood = float(gm.expectation(p, lambda v: dist.Normal(0.0, 2.0).log_prob(v["x"])))
    assert float(gm.kl(p, q)) == pytest.approx(-float(gm.entropy(p)) - likelihood, abs=1e-7)
    mean = 0.3 * -1.0 + 0.7 * 2.0
    spread = (0.3 * (0.25 + 1.0) + 0.7 * (1.0 + 4.0) - mean**2) ** 0.5
    best = gm.joint(x=dist.Normal(mean, spread))
    assert float(gm.kl(p, q)) == pytest.approx(float(gm.kl(p, best)) + float(gm.kl(best, q)), abs=1e-7)


def test_posteriors_are_compared(x64):
    joint = gm.joint(a=dist.Normal(0.0, 1.0), y=lambda a: dist.Normal(a, 0.5))
    one, other = joint.condition(y=1.0), joint.condition(y=-1.0)
    variance, mean = 1.0 / (1.0 + 4.0), 4.0 / 5.0
    assert float(gm.kl(one, other)) == pytest.approx((2 * mean) ** 2 / (2 * variance), rel=1e-10)


def test_it_is_infinite_where_the_other_has_no_mass():
    p, q = gm.joint(x=dist.Uniform(0.0, 2.0)), gm.joint(x=dist.Uniform(0.0, 2.0))
    assert float(gm.kl(p, q)) == pytest.approx(0.0, abs=1e-6)
    wide = gm.joint(x=dist.Normal(0.0, 1.0))
    half = gm.energy(lambda x: jnp.where(x < 0.5, 0.0, jnp.inf) + x**2, x=gm.Real())
    assert float(gm.kl(wide, half)) == np.inf


def test_a_constant_may_be_given_with_its_error():
    """A bowl in six dimensions, whose constant is known, and then estimated."""
    bowl = gm.energy(lambda x: 0.5 * x @ x / 4.0, x=gm.Real(6))
    constant = 3 * np.log(2 * np.pi * 4.0)
    found = gm.entropy(bowl, gm.NUTS(), log_z=constant, draws=2000, warmup=500)
    assert abs(float(found) - 3 * np.log(2 * np.pi * np.e * 4.0)) < 4.5 * float(found.error)
    wide = gm.joint(x=dist.Normal(0.0, 2.5).expand([6]).to_event(1))
    z = gm.log_z(gm.temper(bowl, wide), gm.ImportanceSampling(5000))
    more = gm.entropy(bowl, gm.NUTS(), log_z=z, draws=2000, warmup=500)
    assert float(more.error) > float(found.error)
    with pytest.raises(gm.SpecError, match="log_z="):
        gm.entropy(bowl, gm.NUTS())


def test_what_cannot_be_compared_is_refused():
    p, q = gm.joint(x=dist.Normal(0.0, 1.0)), gm.joint(x=dist.Gamma(2.0, 1.0))
    with pytest.raises(gm.SpecError, match=r"x: Real\(\) and x: "):
        gm.kl(p, q)
    with pytest.raises(gm.SpecError, match="a model with free variables"):
        gm.entropy(3.0)
    with pytest.raises(gm.SpecError, match="two are needed"):
        gm.kl(q, q, log_z=1.0)
