import arviz_stats
import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def test_every_state_is_equally_likely_and_none_lies_outside(x64):
    model = gm.uniform(s=gm.Spin(2), k=gm.Categorical(3))
    density = gm.compile(model)
    np.testing.assert_allclose(density.log_density({"s": [1, -1], "k": 2}), -np.log(4 * 3), rtol=1e-12)
    assert density.log_density({"s": [1, 0], "k": 2}) == -np.inf
    assert model.capabilities().normalized
    drawn = model.sample(jax.random.key(0), 6000)
    counts = np.bincount(drawn["k"] + 3 * (drawn["s"][:, 0] > 0) + 6 * (drawn["s"][:, 1] > 0), minlength=12)
    assert ((counts - 500) ** 2 / 500).sum() < 40.0  # chi-square of 11, 4e-5


def test_it_multiplies_and_conditions_like_any_model(x64):
    model = gm.uniform(k=gm.Binary()) * gm.joint(k=gm.input(gm.Binary()), y=lambda k: dist.Normal(2.0 * k, 1.0))
    total = gm.compile(model.condition(y=0.5).marginalize("k")).log_density({})
    exact = np.log(0.5 * np.exp(-0.125) + 0.5 * np.exp(-1.125)) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(total, exact, rtol=1e-9)


def test_a_discrete_model_has_it_as_its_reference():
    field = 0.7
    target = gm.energy(lambda s: -0.7 * s.sum(), s=gm.Spin(3))
    path = gm.temper(target)
    assert path.reference.spaces["s"] == gm.Spin(3)
    found = gm.log_z(path, gm.SMC(gm.Gibbs(), particles=400))
    assert abs(found.log_z - 3 * np.log(2 * np.cosh(field))) < 4.5 * found.standard_error < 0.3
    tree = gm.sample(path, gm.ParallelTempering(gm.Gibbs(), temperatures=2), draws=500, warmup=50, progress=False)
    s = tree["posterior"]["s"].values.mean(axis=-1)
    error = float(arviz_stats.mcse(s, method="mean"))
    assert abs(s.mean() - np.tanh(field)) < 4.5 * error < 0.2


def test_real_and_endless_variables_are_refused():
    with pytest.raises(gm.SpecError, match="finite discrete space"):
        gm.uniform(x=gm.Real())
    with pytest.raises(gm.SpecError, match="finite discrete space"):
        gm.uniform(n=gm.Integer())
    with pytest.raises(gm.SpecError, match="no variable"):
        gm.uniform()
    with pytest.raises(gm.SpecError, match="a reference is needed for x"):
        gm.temper(gm.energy(lambda x: x**2, x=gm.Real()))
