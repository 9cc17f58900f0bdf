import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.contrib.control_flow import cond, scan
from numpyro.infer.util import log_density, potential_energy

import gmdsl as gm

Y = np.array([0.3, 0.5, -1.2])


def walk(y):
    def step(level, value):
        level = numpyro.sample("x", dist.Normal(level, 1.0))
        numpyro.sample("y", dist.Normal(level, 1.0), obs=value)
        return level, None

    scan(step, 0.0, y, length=3)


def scales(y):
    def step(level, value):
        scale = numpyro.sample("scale", dist.HalfNormal(1.0 + level))
        share = numpyro.sample("share", dist.Dirichlet(jnp.ones(3)))
        numpyro.sample("y", dist.Normal(share[0], scale), obs=value)
        return level + scale, None

    scan(step, 0.5, y)


def branches(y):
    c = numpyro.sample("c", dist.Normal(0.0, 1.0))
    drawn = lambda scale: lambda _: numpyro.sample("x", dist.HalfNormal(scale))  # noqa: E731
    x = cond(c > 0, drawn(2.0), drawn(0.5), None)
    numpyro.sample("y", dist.Normal(x, 1.0), obs=y)


CASES = [
    (walk, (Y,), {"x": [1.0, 2.0, 3.0]}),
    (scales, (Y,), {"scale": [0.5, 1.0, 2.0], "share": [[0.2, 0.3, 0.5]] * 3}),
    (branches, (0.7,), {"c": 0.4, "x": 1.5}),
    (branches, (0.7,), {"c": -0.4, "x": 1.5}),
]


@pytest.mark.parametrize(("function", "arguments", "point"), CASES)
def test_sites_in_scans_and_branches_have_numpyros_density(x64, function, arguments, point):
    point = {name: jnp.array(value) for name, value in point.items()}  # NumPyro's scan takes no NumPy arrays
    density = gm.compile(gm.from_numpyro_model(function, *arguments))
    np.testing.assert_allclose(density.log_density(point), log_density(function, arguments, {}, point)[0], rtol=1e-12)


@pytest.mark.parametrize(("function", "arguments", "point"), CASES)
def test_their_jacobians_are_numpyros(x64, function, arguments, point):
    point = {name: jnp.array(value) for name, value in point.items()}  # NumPyro's scan takes no NumPy arrays
    density = gm.compile(gm.from_numpyro_model(function, *arguments))
    to = {"scale": jnp.log, "share": dist.transforms.StickBreakingTransform().inv}
    to["x"] = jnp.log if function is branches else jnp.asarray
    sites = {name: to.get(name, jnp.asarray)(value) for name, value in point.items()}
    x = density.unconstrain(point)
    np.testing.assert_allclose(
        density.target.log_density(x), -potential_energy(function, arguments, {}, sites), rtol=1e-12
    )


def test_a_random_walk_by_scan_is_sampled_right(x64):
    precision = np.array([[3.0, -1.0, 0.0], [-1.0, 3.0, -1.0], [0.0, -1.0, 2.0]])
    covariance = np.linalg.inv(precision)
    tree = gm.sample(gm.from_numpyro_model(walk, Y), gm.NUTS(), draws=2000, warmup=500, progress=False)
    x = tree["posterior"]["x"].values.reshape(-1, 3)
    z = (x.mean(0) - covariance @ Y) / np.sqrt(np.diag(covariance) / 2000)  # ESS is above 2000 of 8000
    assert np.abs(z).max() < 4.0  # false alarms: 2e-4
    np.testing.assert_allclose(x.std(0), np.sqrt(np.diag(covariance)), rtol=0.08)


def test_observations_inside_a_scan_are_drawn_anew():
    prior = gm.sample_prior(gm.from_numpyro_model(walk, Y), draws=20_000)["prior_predictive"]["y"].values[0]
    z = (prior.var(0) / np.array([2.0, 3.0, 4.0]) - 1.0) / np.sqrt(2.0 / 20_000)
    assert np.abs(z).max() < 4.0  # false alarms: 2e-4


def test_what_is_observed_in_a_scan_can_be_exchanged(x64):
    other = np.array([1.0, 0.0, 2.0])
    density = gm.compile(gm.from_numpyro_model(walk, Y)).with_data(y=other)
    point = {"x": np.array([1.0, 2.0, 3.0])}
    np.testing.assert_allclose(
        density.log_density(point), log_density(walk, (other,), {}, {"x": jnp.array(point["x"])})[0], rtol=1e-12
    )


def test_a_model_without_observations_is_drawn_by_its_scan():
    draws = gm.from_numpyro_model(walk, None).sample(jax.random.key(0), 20_000)["x"]
    assert np.abs(np.var(draws, 0) / np.array([1.0, 2.0, 3.0]) - 1.0).max() < 4.5 * np.sqrt(2.0 / 20_000)


def test_a_step_that_reads_the_value_before_it_reads_the_drawn_one():
    def chain(y):
        def step(last, value):
            now = numpyro.sample("y", dist.Normal(0.5 * last, 0.01), obs=value)
            return now, None

        scan(step, 0.0, y)

    model = gm.from_numpyro_model(chain, np.array([10.0, 20.0, 30.0]))
    drawn = gm.sample_prior(model, draws=200)["prior_predictive"]["y"].values[0]
    assert np.abs(drawn).max() < 0.1  # six standard deviations
