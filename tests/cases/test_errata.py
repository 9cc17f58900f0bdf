"""The tutorial's slips about diffusion, T16 to T35 of the notes: what is right here, and the printed form that is not.

T17 (the root of the step in the drift) is in `test_diffusion.py`, the law of the forms of T16 in
`tests/processes/test_score_descent.py`; T28 is about words.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diffusion.variational_bound import level_times, level_weights
from tests.cases.scoring import load

CASE = load("seed", "seed_errata").meta
SIGMA = CASE["check_model"]["sigma2"] ** 0.5
WEIGHTS, MEANS = np.array([0.3, 0.2, 0.5]), np.array([-2.0, 0.5, 3.0])
VARIANCES = np.array([0.3, 0.05, 0.8])
GRID = np.linspace(-14.0, 16.0, 60_001)


def mixture():
    parts = dist.Normal(jnp.asarray(MEANS), jnp.asarray(VARIANCES**0.5))
    return gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.asarray(WEIGHTS)), parts))


def noised(t_max=4.0):
    return gm.noise(mixture(), gm.Brownian(SIGMA, t_max=t_max))


def normal(x, mean, variance):
    return np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)


def data_density(x):
    return np.sum(WEIGHTS * normal(np.asarray(x)[..., None], MEANS, VARIANCES), axis=-1)


def posterior(x, t):
    """p(x_0 | x_t) on the grid, and p_t(x_t), by quadrature."""
    joint = data_density(GRID) * normal(x, GRID, SIGMA**2 * t)
    evidence = np.trapezoid(joint, GRID)
    return joint / evidence, evidence


def mean_over(density, values):
    return np.trapezoid(density * values, GRID)


def test_the_model_is_that_of_the_case():
    assert CASE["check_model"]["p0"] == "mixture w=(.3,.2,.5), m=(-2,.5,3), var=(.3,.05,.8)"
    assert [row["t"] for row in CASE["check_rows"]] == [0.5, 0.5, 2.0, 0.1]


def test_t16_noise_and_descent_add_the_same_variance_and_both_add_twice_as_much(x64):
    """Of Gaussian data of variance 1 after one short step, in closed form: the growth per unit of time."""
    dt, process = 1e-6, gm.ScoreDescent(SIGMA)
    family = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), process)
    stretch = float(process.step(1.0, family.score(1.0, 0.0), dt))  # a linear map
    noise = SIGMA**2 * dt
    growth = {name: (v - 1.0) / dt for name, v in
              (("noise", 1.0 + noise), ("descent", stretch**2), ("printed", stretch**2 + noise))}  # fmt: skip
    np.testing.assert_allclose([growth["noise"], growth["descent"]], SIGMA**2, rtol=1e-5)
    np.testing.assert_allclose(float(process.sigma(1.0)) ** 2, SIGMA**2, rtol=1e-12)
    np.testing.assert_allclose(growth["printed"], 2 * SIGMA**2, rtol=1e-5)


def carried_with(factor, x, t):
    """Back from t to the data by small steps of dx = -factor sigma^2 score dt."""
    family, steps = noised(), 4000

    def step(k, x):
        now = t - k * t / steps
        return x + factor * SIGMA**2 * family.score(x, now) * t / steps

    return float(jax.lax.fori_loop(0, steps, step, x))


def test_t18_the_reverse_flow_has_the_factor_one_half(x64):
    """Forward by `carry` and back: one half returns the datum; one, which both terms would want, does not."""
    family = noised()
    for x in (-2.4, 2.2):
        end = family.carry(x, 0.0, 2.0, rtol=1e-9, atol=1e-9)
        assert abs(carried_with(0.5, end, 2.0) - x) < 5e-3
        assert abs(carried_with(1.0, end, 2.0) - x) > 0.15


MU, S2 = 1.5, 0.25


def law_of_steps(drift, noise, steps=400, last=4.0):
    """Mean and variance after an affine way back of Gaussian data N(1.5, 0.25) from the exact law at the end."""
    delta = last / steps
    mean, variance = MU, S2 + SIGMA**2 * last
    for k in range(steps, 0, -1):
        pull = drift(delta) / (S2 + SIGMA**2 * k * delta)
        mean, variance = mean - pull * (mean - MU), (1 - pull) ** 2 * variance + noise(delta)
    return mean, variance


def ours(draw_steps=400, last=4.0):
    family = gm.noise(gm.joint(x=dist.Normal(MU, S2**0.5)), gm.Brownian(SIGMA, t_max=last))
    tree = gm.sample(family, gm.ReverseSDE(steps=draw_steps), draws=20_000, init=family.at(last), progress=False)
    return tree["posterior"]["x"].values.ravel().astype(float)


def test_t19_and_t20_the_reverse_equation_has_dt_in_its_drift_and_noise_of_standard_deviation_root_dt():
    """20,000 draws have the variance of the right step, |z| < 4.5; without dt in the drift, or with half the
    noise, as dB is printed, the variance is far off."""
    right = law_of_steps(lambda dt: SIGMA**2 * dt, lambda dt: SIGMA**2 * dt)[1]
    no_dt = law_of_steps(lambda dt: SIGMA**2, lambda dt: SIGMA**2 * dt)[1]
    half = law_of_steps(lambda dt: SIGMA**2 * dt, lambda dt: SIGMA**2 * dt / 4)[1]
    x = ours()
    z = lambda variance: (np.mean((x - MU) ** 2) / variance - 1.0) / np.sqrt(2 / len(x))  # noqa: E731
    assert abs(z(right)) < 4.5
    assert abs(right / S2 - 1.0) < 0.05
    assert abs(z(no_dt)) > 20
    assert abs(z(half)) > 20


def test_t21_two_reverse_steps_and_one_forward_are_a_step_of_the_reverse_equation(x64):
    """The same point, to the digit: two half steps along the score, and noise."""
    family, x, t, dt, noise = noised(), 0.7, 1.0, 0.01, -0.4
    rate, score = SIGMA**2, float(family.score(x, t))
    tutorial = x + 2 * (0.5 * rate * dt * score) + SIGMA * np.sqrt(dt) * noise
    drift, diffusion = float(family.process.drift(t)), float(family.process.diffusion(t))
    step = x - drift * x * dt + diffusion**2 * dt * score + diffusion * np.sqrt(dt) * noise
    np.testing.assert_allclose(tutorial, step, rtol=1e-12)


@pytest.mark.parametrize("row", CASE["check_rows"], ids=lambda row: f"x={row['x']}")
def test_t22_and_t25_vincents_identity_has_a_minus_and_tweedies_mean_is_of_x_0(row, x64):
    """Score and E[x_0 | x_t] are those of the case; E of the density p(x_0 | x_t), as printed, is another number."""
    family, x, t = noised(), row["x"], row["t"]
    np.testing.assert_allclose(family.score(x, t), row["score"], rtol=1e-9)
    np.testing.assert_allclose(family.score(x, t), row["numeric_gradient"], rtol=1e-6)
    np.testing.assert_allclose(family.denoise(x, t), row["E_x0"], rtol=1e-9)
    density, _ = posterior(x, t)
    vincent = mean_over(density, -(x - GRID) / (SIGMA**2 * t))
    np.testing.assert_allclose(vincent, family.score(x, t), rtol=1e-6)
    np.testing.assert_allclose(-vincent, row["as_printed_sign"], rtol=1e-6)
    assert abs(mean_over(density, density) - row["tweedie"]) > 0.1


def test_t23_the_density_that_is_put_into_the_integral_is_that_of_x_t(x64):
    """(1 / p_t(x_t)) int grad log p(x_0, x_t) p(x_0, x_t) dx_0; with 1 / p(x_0) in its place it is no expectation."""
    family, x, t = noised(), 0.3, 0.5
    joint = data_density(GRID) * normal(x, GRID, SIGMA**2 * t)
    slope = -(x - GRID) / (SIGMA**2 * t)
    _, evidence = posterior(x, t)
    np.testing.assert_allclose(np.trapezoid(slope * joint, GRID) / evidence, family.score(x, t), rtol=1e-6)
    np.testing.assert_allclose(evidence, np.exp(family.log_density(x, t)), rtol=1e-9)
    printed = np.trapezoid(slope * joint / data_density(GRID), GRID)
    assert abs(printed - float(family.score(x, t))) > 0.05


def test_t24_the_accumulated_noise_is_sigma_squared_t_in_all_places(x64):
    process = noised().process
    for t in (0.1, 2.0):
        np.testing.assert_allclose(process.sigma(t) ** 2, SIGMA**2 * t, rtol=1e-12)
        np.testing.assert_allclose(process.diffusion(t), SIGMA, rtol=1e-9)
        np.testing.assert_allclose(process.transition(0.0, t).std ** 2, SIGMA**2 * t, rtol=1e-12)


def losses(score, t):
    """Mean squares over x_0 and noise, by quadrature: of the denoiser, of the noise as it should be, as printed."""
    noise = np.linspace(-6.5, 6.5, 1001)
    data = np.linspace(-5.0, 7.0, 1001)
    weight = data_density(data)[:, None] * normal(noise, 0.0, 1.0)
    weight /= weight.sum()
    added = SIGMA * np.sqrt(t) * noise[None]
    x = data[:, None] + added
    s = np.asarray(score(jnp.asarray(x)))
    total = SIGMA**2 * t
    mean = lambda gap: float(np.sum(weight * gap**2))  # noqa: E731
    return mean(data[:, None] - (x + total * s)), mean(added + total * s), mean(added - (x + total * s))


def test_t26_t27_and_t35_the_losses_of_datum_and_noise_have_one_floor_and_the_printed_one_does_not(x64):
    """At the exact score the loss of the denoiser is that of the noise, E Var[x_0 | x_t], and moving the score
    raises it; the printed loss is far above and falls when the score is moved to -s - x / sigma^2 t."""
    family, t = noised(), 0.5
    total = SIGMA**2 * t
    score = jax.vmap(jax.vmap(lambda x: family.score(x, t)))
    clean, noise, printed = losses(score, t)
    floor = np.trapezoid(
        np.exp([float(v) for v in jax.vmap(lambda x: family.log_density(x, t))(GRID[::50])])
        * [float(v) for v in jax.vmap(lambda x: total + total**2 * family.divergence(x, t))(GRID[::50])],
        GRID[::50],
    )
    np.testing.assert_allclose([clean, noise], floor, rtol=1e-4)
    assert min(losses(lambda x, c=c: c * score(x), t)[1] for c in (0.95, 1.05)) > noise
    assert printed > 3 * floor
    assert losses(lambda x: -score(x) - x / total, t)[2] < 1.001 * floor
    off = losses(lambda x: score(x) + 0.1, t)[0] - clean  # w sigma^4 times the error of the score
    np.testing.assert_allclose(off, total**2 * 0.01, rtol=1e-3)


def test_t29_times_are_embedded_by_sines_beside_cosines():
    """sin + cos takes equal values at two times within a quarter of a period; the embedding tells them apart."""
    embed = gm.nets.TimeEmbedding(count=1, lowest=1.0, highest=1.0)
    first, second = (np.asarray(embed(t)) for t in (0.05, 0.2))
    np.testing.assert_allclose(first.sum(), second.sum(), atol=1e-5)
    assert np.abs(first - second).max() > 0.5


def test_t30_bayes_rule_has_a_constant(x64):
    """The exact conditional integrates to one; log p(x_s) - |x_s - x_t|^2 / (2 sigma^2 dt) alone does not."""
    family, x, t, dt = noised(), 0.3, 0.5, 0.1
    density = gm.compile(family.reverse_conditional(x, t, dt))
    points = jnp.asarray(np.linspace(x - 6.0, x + 6.0, 8001))
    exact = np.asarray(jax.vmap(lambda v: density.log_density({"x": v}))(points))
    printed = np.asarray(jax.vmap(lambda v: family.log_density(v, t - dt))(points)) - (points - x) ** 2 / (
        2 * SIGMA**2 * dt
    )
    np.testing.assert_allclose(np.trapezoid(np.exp(exact), points), 1.0, rtol=1e-9)
    assert np.trapezoid(np.exp(printed), points) < 0.5
    gap = exact - printed
    np.testing.assert_allclose(gap, gap[0], atol=1e-9)


def test_t31_and_t32_without_the_prior_and_the_first_term_there_is_no_bound():
    """Little noise at the end, so that L_T counts: with all terms the mean bound is below the mean log-density; without
    L_T it is above, and the sum of divergences alone, as printed, is off by a nat."""
    family = noised(t_max=1.0)
    x = mixture().sample(jax.random.key(0), 1000)["x"]
    found = gm.variational_bound(family, x, steps=400, draws=8)
    exact = float(np.mean(jax.vmap(lambda x: family.log_density(x, 0.0))(x)))
    error = np.sqrt(np.sum(found.standard_error**2)) / 1000
    assert found.log_likelihood.mean() < exact + 4.5 * error
    assert error < 0.03
    assert (found.log_likelihood + found.prior).mean() > exact + 0.3
    assert abs(-found.steps.sum(-1).mean() - exact) > 1.0


def test_t33_the_bridge_has_a_variance_without_which_every_divergence_is_infinite(x64):
    """sigma^2 dt (t - dt) / t: 100,000 pairs give it, |z| < 4.5; the sum of divergences is finite."""
    t, dt, x_0 = 1.0, 0.25, 0.7
    bridge = noised().bridge(t - dt, t)
    np.testing.assert_allclose(bridge.std**2, SIGMA**2 * dt * (t - dt) / t, rtol=1e-12)
    np.testing.assert_allclose([bridge.noisy, bridge.clean], [1 - dt / t, dt / t], rtol=1e-12)
    rng = np.random.default_rng(0)
    before = x_0 + SIGMA * np.sqrt(t - dt) * rng.normal(size=100_000)
    after = before + SIGMA * np.sqrt(dt) * rng.normal(size=100_000)
    rest = before - float(bridge.noisy) * after - float(bridge.clean) * x_0
    assert abs(rest.var() / float(bridge.std) ** 2 - 1.0) < 4.5 * np.sqrt(2 / 100_000)
    assert abs(np.corrcoef(rest, after)[0, 1]) < 4.5 / np.sqrt(100_000)
    assert np.isfinite(gm.variational_bound(noised(), 0.7, steps=20).steps).all()
    with np.errstate(divide="ignore"):
        assert np.isinf(0.5 * float(bridge.clean) ** 2 / np.float64(0.0))  # the printed variance


def test_t34_the_divergence_of_two_gaussians_has_a_factor_one_half(x64):
    """Against quadrature of p log(p / q) with means that differ as denoiser and datum; printed it is double."""
    process = noised().process
    times = level_times(process, 30)
    weights = level_weights(process, times)
    bridge = process.bridge(times[19], times[20])
    gap, std = 0.6, float(bridge.std)  # D - x_0
    grid = np.linspace(-12 * std, 12 * std, 20_001)
    p, q = normal(grid, 0.0, std**2), normal(grid, float(bridge.clean) * gap, std**2)
    exact = np.trapezoid(p * (np.log(p) - np.log(q)), grid)
    np.testing.assert_allclose(0.5 * weights[20] * gap**2, exact, rtol=1e-6)
    assert abs(float(bridge.clean) ** 2 * gap**2 / std**2 / exact - 2.0) < 1e-6
