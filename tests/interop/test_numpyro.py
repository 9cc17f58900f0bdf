import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.util import log_density, potential_energy

import gmdsl as gm

Y = np.array([28.0, 8.0, -3.0, 7.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0])


def schools(y, errors):
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
    with numpyro.plate("J", len(errors)):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0))
        theta = numpyro.deterministic("theta", mu + tau * z)
        numpyro.sample("y", dist.Normal(theta, errors), obs=y)


POINT = {"mu": 1.0, "tau": 2.0, "z": np.array([0.1, -0.2, 0.3, 0.0])}


def test_the_log_density_is_numpyros(x64):
    density = gm.compile(gm.from_numpyro_model(schools, Y, ERRORS))
    np.testing.assert_allclose(density.log_density(POINT), log_density(schools, (Y, ERRORS), {}, POINT)[0], rtol=1e-12)


def test_the_flat_density_has_numpyros_jacobian(x64):
    density = gm.compile(gm.from_numpyro_model(schools, Y, ERRORS))
    x = density.unconstrain(POINT)
    free = {"mu": 1.0, "tau": np.log(2.0), "z": POINT["z"]}
    np.testing.assert_allclose(
        density.target.log_density(x), -potential_energy(schools, (Y, ERRORS), {}, free), rtol=1e-12
    )
    np.testing.assert_allclose(density.constrain(x)["theta"], 1.0 + 2.0 * POINT["z"], rtol=1e-12)


def test_array_arguments_are_data_of_the_model_and_new_ones_compile_nothing(compilations):
    model = gm.from_numpyro_model(schools, Y, ERRORS)
    assert list(model.data) == ["errors"]
    assert model.free == ("mu", "tau", "z")
    density = gm.compile(model)
    point = {name: jnp.asarray(value, jnp.float32) for name, value in POINT.items()}
    density.log_density(point)
    density.with_data(errors=ERRORS, y=Y).log_density(point)
    del compilations[:]
    other = density.with_data(errors=2 * ERRORS, y=Y + 1).log_density(point)
    assert compilations == []
    np.testing.assert_allclose(other, log_density(schools, (Y + 1, 2 * ERRORS), {}, POINT)[0], rtol=1e-5)


def test_it_multiplies_with_other_models(x64):
    tilted = gm.from_numpyro_model(schools, Y, ERRORS) * gm.energy(lambda mu: mu**2, mu=gm.Real())
    exact = log_density(schools, (Y, ERRORS), {}, POINT)[0] - 1.0
    np.testing.assert_allclose(gm.compile(tilted).log_density(POINT), exact, rtol=1e-12)


def test_draws_and_pointwise_likelihood_follow_the_model():
    model = gm.from_numpyro_model(schools, Y, ERRORS)
    prior = gm.sample_prior(model, draws=20_000)
    y = prior["prior_predictive"]["y"].values[0]
    median = np.median(y, axis=0)  # symmetric about zero
    assert np.abs(median).max() < 4.5 * 1.2533 * np.quantile(np.abs(y), 0.68) / np.sqrt(20_000) * 1.5
    tree = gm.sample(model, gm.NUTS(), draws=50, warmup=100, progress=False, log_likelihood=True)
    theta = tree["posterior"]["theta"].values
    exact = dist.Normal(theta, ERRORS).log_prob(Y)
    np.testing.assert_allclose(tree["log_likelihood"]["y"].values, exact, rtol=1e-4)
    assert gm.predict(tree, model)["posterior_predictive"]["y"].shape == (4, 50, 4)


def test_an_unobserved_model_can_be_drawn_from():
    model = gm.from_numpyro_model(schools, None, ERRORS)
    assert "y" in model.free
    assert model.capabilities().drawable
    assert model.sample(jax.random.key(0), 7)["y"].shape == (7, 4)


def test_scales_masks_and_factors_are_counted(x64):
    def odd():
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        with numpyro.handlers.scale(scale=3.0):
            numpyro.sample("a", dist.Normal(x, 1.0), obs=0.5)
        numpyro.sample("b", dist.Normal(x, 1.0).mask(False), obs=9.0)
        numpyro.factor("tilt", -2.0 * x)

    model = gm.from_numpyro_model(odd)
    assert not model.capabilities().normalized
    np.testing.assert_allclose(
        gm.compile(model).log_density({"x": 0.7}), log_density(odd, (), {}, {"x": 0.7})[0], rtol=1e-12
    )


def test_params_and_empty_models_are_refused():
    def learned():
        numpyro.sample("x", dist.Normal(numpyro.param("m", 0.0), 1.0))

    with pytest.raises(gm.SpecError, match=r"m is a numpyro.param site. Declare it by gm.param"):
        gm.from_numpyro_model(learned)
    with pytest.raises(gm.SpecError, match="no sample site"):
        gm.from_numpyro_model(lambda: None)


def test_data_arguments_keep_their_names():
    with pytest.raises(gm.SpecError, match="errors is an argument of schools"):
        gm.from_numpyro_model(schools, Y, ERRORS).rename(errors="e")
    assert gm.from_numpyro_model(schools, Y, ERRORS).rename(mu="m").free == ("m", "tau", "z")


def test_it_works_when_arviz_was_imported_first():
    code = (
        "import arviz, numpyro.distributions as dist, gmdsl as gm, numpyro\n"
        "def f():\n    x = numpyro.sample('x', dist.Normal(0.0, 1.0))\n    numpyro.factor('tilt', x)\n"
        "print(gm.from_numpyro_model(f).free)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "('x',)"
