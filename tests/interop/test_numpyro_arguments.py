import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
from numpyro.infer.util import log_density

import gmdsl as gm

Y = np.array([1.0, 2.0, 3.0, 4.0])


def test_an_argument_that_is_read_as_a_numpy_array_is_fixed(x64):
    def grouped(group, y):
        with numpyro.plate("groups", len(np.unique(group))):
            a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(a[group], 1.0), obs=y)

    group = np.array([0, 1, 1, 2])
    model, point = gm.from_numpyro_model(grouped, group, Y), {"a": jnp.array([0.1, 0.2, 0.3])}
    assert list(model.data) == []
    np.testing.assert_allclose(
        gm.compile(model).log_density(point), log_density(grouped, (group, Y), {}, point)[0], rtol=1e-12
    )


def test_the_others_stay_data(x64, compilations):
    def censored(y, over, scale):
        mu = numpyro.sample("mu", dist.Normal(0.0, scale))
        numpyro.sample("seen", dist.Normal(mu, 1.0), obs=y[~over])
        numpyro.factor("over", jnp.sum(dist.Normal(mu, 1.0).log_prob(y[over])))

    over = np.array([False, True, False, False])
    model = gm.from_numpyro_model(censored, Y, over, np.array(2.0))
    assert set(model.data) == {"y", "scale"}
    density = gm.compile(model)
    density.log_density({"mu": 0.3})
    del compilations[:]
    moved = density.with_data(scale=np.array(3.0)).log_density({"mu": 0.3})
    assert compilations == []
    np.testing.assert_allclose(moved, log_density(censored, (Y, over, 3.0), {}, {"mu": 0.3})[0], rtol=1e-12)


def test_a_data_frame_is_an_argument(x64):
    def regression(frame):
        slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(slope * frame["x"].values, 1.0), obs=frame["y"].values)

    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0.0, 1.0]})
    density = gm.compile(gm.from_numpyro_model(regression, frame))
    exact = log_density(regression, (frame.copy(),), {}, {"slope": 0.3})[0]
    frame["x"] = 7.0  # a model that is declared does not change
    np.testing.assert_allclose(density.log_density({"slope": 0.3}), exact, rtol=1e-12)


def test_a_dict_of_arrays_is_an_argument(x64):
    def regression(rows):
        slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(slope * rows["x"], 1.0), obs=rows["y"])

    rows = {"x": np.array([1.0, 2.0]), "y": np.array([0.0, 1.0])}
    density = gm.compile(gm.from_numpyro_model(regression, rows))
    np.testing.assert_allclose(
        density.log_density({"slope": 0.3}), log_density(regression, (rows,), {}, {"slope": 0.3})[0], rtol=1e-12
    )


def test_an_argument_of_equal_numbers_that_is_not_observed_stays_where_it_is(x64):
    def twice(y, errors):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mu, errors), obs=y)

    other = 2.0 * Y
    density = gm.compile(gm.from_numpyro_model(twice, Y, Y)).with_data(y=other)
    np.testing.assert_allclose(
        density.log_density({"mu": 0.3}), log_density(twice, (other, Y), {}, {"mu": 0.3})[0], rtol=1e-12
    )
