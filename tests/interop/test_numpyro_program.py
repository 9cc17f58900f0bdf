import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.control_flow import scan
from numpyro.infer.util import log_density

import gmdsl as gm

Y = np.array([0.3, 0.5, 0.2, -0.1])


def residual(y):
    m = numpyro.sample("m", dist.Normal(0.0, 1.0))
    numpyro.sample("y", dist.Normal(0.0, 1.0), obs=y - m)


def autoregression(y):
    phi = numpyro.sample("phi", dist.Normal(0.0, 1.0))

    def step(last, value):
        numpyro.sample("y", dist.Normal(phi * last, 1.0), obs=value)
        return value, None

    scan(step, 0.0, y)


def imputed(y):
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
    gaps = np.flatnonzero(np.isnan(y))
    filled = jnp.asarray(y).at[gaps].set(numpyro.sample("gap", dist.Normal(mu, 1.0).expand([len(gaps)]).mask(False)))
    numpyro.sample("y", dist.Normal(mu, 1.0), obs=filled)


@pytest.mark.parametrize("y", [3.0, jnp.array(3.0)])
def test_an_observed_value_that_is_computed_is_a_term(x64, y):
    model = gm.from_numpyro_model(residual, y)
    assert model.free == ("m",)
    assert model.observed == {}
    assert not model.capabilities().normalized
    tree = gm.sample(model, gm.NUTS(), draws=1000, warmup=300, progress=False)
    m = tree["posterior"]["m"].values
    assert abs(m.mean() - 1.5) < 4.0 * np.sqrt(0.5 / 1000)  # ESS is above 1000 of 4000; false alarms: 6e-5
    assert abs(m.std() - np.sqrt(0.5)) < 0.06


def test_gaps_that_are_imputed_have_numpyros_density(x64):
    y, point = np.array([1.0, np.nan, 2.0, np.nan]), {"mu": 0.1, "gap": jnp.array([0.2, 0.3])}
    model = gm.from_numpyro_model(imputed, y)
    assert model.free == ("mu", "gap")
    np.testing.assert_allclose(
        gm.compile(model).log_density(point), log_density(imputed, (y,), {}, point)[0], rtol=1e-12
    )


def test_observed_values_that_are_read_twice_move_together(x64):
    model, other = gm.from_numpyro_model(autoregression, Y), np.array([1.0, 0.5, 0.2, 0.7])
    moved = gm.compile(model).with_data(y=other).log_density({"phi": 0.4})
    np.testing.assert_allclose(moved, log_density(autoregression, (other,), {}, {"phi": 0.4})[0], rtol=1e-12)


def test_observed_values_that_are_read_twice_are_not_drawn_anew():
    model = gm.from_numpyro_model(autoregression, Y)
    assert not model.capabilities().drawable
    with pytest.raises(gm.SpecError, match="cannot be drawn"):
        gm.sample_prior(model, draws=10)


def test_observed_values_that_are_read_as_numpy_arrays_stay_as_they_are(x64):
    def masked(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mu, 1.0).mask(y > np.median(y)), obs=y)

    density = gm.compile(gm.from_numpyro_model(masked, Y))
    np.testing.assert_allclose(
        density.log_density({"mu": 0.3}), log_density(masked, (Y,), {}, {"mu": 0.3})[0], rtol=1e-12
    )
    assert np.isnan(density.with_data(y=-Y).log_density({"mu": 0.3}))


def test_variables_can_be_renamed_where_arguments_cannot(x64):
    model = gm.from_numpyro_model(autoregression, Y).rename(y="series", phi="slope")
    assert model.free == ("slope",)
    value = gm.compile(model).log_density({"slope": 0.4})
    np.testing.assert_allclose(value, log_density(autoregression, (Y,), {}, {"phi": 0.4})[0], rtol=1e-12)
