import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.scipy.stats import norm

import gmdsl as gm

WEIGHTS, MEANS = np.array([0.3, 0.2, 0.5]), np.array([-2.0, 0.5, 3.0])
VARIANCES = np.array([0.3, 0.05, 0.8])
DELTA, LAST, N, STEPS = 1.5, 1.0, 20_000, 400


def noised(delta=DELTA):
    parts = dist.Normal(MEANS, VARIANCES**0.5)
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=WEIGHTS), parts))
    return gm.noise(model, gm.ScoreDescent(delta, t_max=LAST))


def moved(descend, diffuse):
    """N data to t = 1 by small steps of the tutorial, with either term or both; the score is that of their own law."""
    family = noised(DELTA * np.sqrt(descend + diffuse))
    key_data, key_noise = jax.random.split(jax.random.key(3))
    x = family.model.sample(key_data, N)["x"]

    def step(k, x):
        t, dt = k * LAST / STEPS, LAST / STEPS
        noise = DELTA * jnp.sqrt(dt) * jax.random.normal(jax.random.fold_in(key_noise, k), x.shape)
        score = jax.vmap(lambda x: family.score(x, t))(x)
        return gm.ScoreDescent(DELTA).step(x, descend * score, dt) + diffuse * noise

    return np.asarray(jax.jit(lambda x: jax.lax.fori_loop(0, STEPS, step, x))(x), float)


def z_scores(x):
    """z of the shares below five quantiles of the exact p_1, and of the second moment about its mean."""
    scale = np.sqrt(VARIANCES + DELTA**2 * LAST)
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    grid = np.linspace(-15.0, 15.0, 60_001)
    function = np.asarray(norm.cdf((grid[:, None] - MEANS) / scale)) @ WEIGHTS
    places = np.interp(levels, function, grid)
    shares = (x[:, None] < places).mean(0)
    mean = WEIGHTS @ MEANS
    variance = WEIGHTS @ (scale**2 + MEANS**2) - mean**2
    squares = (x - mean) ** 2
    spread = (squares.mean() - variance) / (squares.std() / np.sqrt(len(x)))
    return np.append((shares - levels) / np.sqrt(levels * (1 - levels) / len(x)), spread)


def test_either_form_has_the_exact_law_and_both_at_once_diffuse_twice():
    """Six numbers each; |z| < 4.5, a false alarm in 1 of 10,000. What is printed, both terms in a step, is far off."""
    assert np.abs(z_scores(moved(descend=1.0, diffuse=0.0))).max() < 4.5
    assert np.abs(z_scores(moved(descend=0.0, diffuse=1.0))).max() < 4.5
    both = moved(descend=1.0, diffuse=1.0)
    assert np.abs(z_scores(both)).max() > 20.0
    added = both.var() - (WEIGHTS @ (VARIANCES + MEANS**2) - (WEIGHTS @ MEANS) ** 2)
    assert abs(added / (2.0 * DELTA**2 * LAST) - 1.0) < 0.05


def test_data_that_are_carried_have_the_law_of_data_with_noise():
    family = noised()
    x = family.model.sample(jax.random.key(5), N)["x"]
    carried = jax.jit(jax.vmap(lambda x: family.carry(x, 0.0, LAST)))(x)
    assert np.abs(z_scores(np.asarray(carried, float))).max() < 4.5


def test_squeezing_and_spreading_change_the_mean_of_a_test_function_alike(x64):
    """d/dt E[h] = -delta^2/2 E[h' (log p)'] = +delta^2/2 E[h''] for h = sin(x) + x^3 / 9, by quadrature on p_t; the
    tutorial's Langevin drift would have the other sign. The derivative of E[h] itself by central differences."""
    family, grid = noised(), jnp.linspace(-25.0, 25.0, 40_001)
    h = lambda x: jnp.sin(x) + x**3 / 9.0  # noqa: E731

    def mean(values, t):
        return float(jnp.trapezoid(values * jnp.exp(jax.vmap(lambda x: family.log_density(x, t))(grid)), grid))

    for t in (0.05, 0.5):
        score = jax.vmap(lambda x, t=t: family.score(x, t))(grid)
        squeezed = -0.5 * DELTA**2 * mean(jax.vmap(jax.grad(h))(grid) * score, t)
        spread = 0.5 * DELTA**2 * mean(jax.vmap(jax.grad(jax.grad(h)))(grid), t)
        growth = (mean(h(grid), t + 1e-4) - mean(h(grid), t - 1e-4)) / 2e-4
        np.testing.assert_allclose(squeezed, spread, rtol=1e-9)
        np.testing.assert_allclose(growth, spread, rtol=1e-5)


def test_the_density_solves_the_heat_equation(x64):
    """dp/dt = delta^2 / 2 p'' at 30 points, by derivatives of the exact density."""
    family = noised()
    density = lambda x, t: jnp.exp(family.log_density(x, t))  # noqa: E731
    x = jnp.linspace(-4.0, 5.0, 30)
    for t in (0.05, 0.7):
        rate = jax.vmap(lambda x, t=t: jax.grad(density, 1)(x, t))(x)
        bend = jax.vmap(lambda x, t=t: jax.grad(jax.grad(density))(x, t))(x)
        np.testing.assert_allclose(rate, 0.5 * DELTA**2 * bend, rtol=1e-9, atol=1e-12)
        flux = jax.vmap(jax.grad(lambda x, t=t: density(x, t) * family.velocity(x, t)))(x)  # continuity
        np.testing.assert_allclose(rate, -flux, rtol=1e-9, atol=1e-12)


def test_its_velocity_is_minus_half_the_squared_rate_times_the_score(x64):
    family = noised()
    for x, t in ((0.3, 0.1), (-2.0, 0.9)):
        np.testing.assert_allclose(family.velocity(x, t), -0.5 * DELTA**2 * family.score(x, t), rtol=1e-9)
        moved = family.process.step(x, family.score(x, t), 0.01)
        np.testing.assert_allclose(moved, x + 0.01 * family.velocity(x, t), rtol=1e-12)
    assert float(family.process.prior_scale) == pytest.approx(DELTA)


@pytest.mark.parametrize(
    ("settings", "text"), [({"delta": 0.0}, r"ScoreDescent\(delta=0.0\)"), ({"t_max": -1}, "t_max")]
)
def test_a_bad_setting_is_named_with_its_value(settings, text):
    with pytest.raises(gm.SpecError, match=text):
        gm.ScoreDescent(**settings)
