import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def test_the_evidence_of_a_gaussian_is_almost_exact():
    joint = gm.joint(mu=dist.Normal(0, 1), y=lambda mu: dist.Normal(mu, 1).expand([5]))
    posterior = joint.condition(y=jnp.arange(5.0))
    tree = gm.sample(posterior, gm.NUTS(), progress=False)
    found = gm.log_z(tree, posterior)
    exact = float(dist.MultivariateNormal(jnp.zeros(5), jnp.eye(5) + 1).log_prob(jnp.arange(5.0)))
    assert found.status == "ok"
    assert found.standard_error < 0.01
    assert abs(found.log_z - exact) < max(4.5 * found.standard_error, 2e-3)
    assert gm.log_z(posterior, tree).log_z == found.log_z  # either order


def test_the_evidence_of_a_skewed_posterior_with_a_constraint():
    y = np.array([1.3, 0.2, 2.9])
    joint = gm.joint(rate=dist.Gamma(2.0, 1.0), y=lambda rate: dist.Exponential(rate).expand([3]))
    posterior = joint.condition(y=y)
    found = gm.log_z(gm.sample(posterior, gm.NUTS(), draws=2000, progress=False), posterior)
    exact = np.log(24.0) - 5.0 * np.log(1.0 + y.sum())
    assert abs(found.log_z - exact) < 4.5 * found.standard_error < 0.1


def test_an_energy_has_a_constant_too():
    quartic = gm.energy(lambda x: jnp.sum(x**4), x=gm.Real(2))
    found = gm.log_z(gm.sample(quartic, gm.NUTS(), draws=2000, progress=False), quartic)
    exact = 2.0 * np.log(1.8128049541109543)  # 2 Gamma(5/4) each
    assert abs(found.log_z - exact) < 4.5 * found.standard_error < 0.1


def test_what_does_not_fit_is_refused_and_too_little_is_suspect():
    model = gm.energy(lambda x: 0.5 * x**2, x=gm.Real())
    tree = gm.sample(model, gm.NUTS(), draws=200, warmup=200, progress=False)
    with pytest.raises(gm.SpecError, match="x is in one and not in the other"):
        gm.log_z(tree, gm.energy(lambda y: 0.5 * y**2, y=gm.Real()))
    with pytest.raises(gm.SpecError, match="the model that was sampled is needed"):
        gm.log_z(tree, gm.NUTS())
    short = gm.sample(model, gm.NUTS(), draws=20, warmup=100, progress=False)
    with pytest.raises(gm.SpecError, match="too few"):
        gm.log_z(short, model)
    slow = gm.sample(model, gm.RandomWalk(0.01), draws=400, warmup=0, progress=False)
    assert gm.log_z(slow, model).status != "ok"


def test_a_run_of_another_model_of_the_same_variables_is_refused():
    run = gm.sample(gm.energy(lambda x: 2.0 * x**2, x=gm.Real()), gm.NUTS(), draws=300, warmup=100, progress=False)
    with pytest.raises(gm.SpecError, match="made of another model"):
        gm.log_z(run, gm.energy(lambda x: 0.5 * x**2, x=gm.Real()))
