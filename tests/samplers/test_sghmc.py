import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

import gmdsl as gm
from tests.samplers.test_sgld import SIZE, N, conjugate, posterior, without_replacement, z_scores

STEP, FRICTION = 0.12, 2.0


def stationary(noise, estimate=0.0):
    """The covariance of the position in the recursion of (x, r), from the discrete Lyapunov equation S = A S A' + Q."""
    precision, _, _ = posterior()
    one, zero = np.eye(2), np.zeros((2, 2))
    a = np.block([[one, STEP * one], [-STEP * precision, (1 - STEP * FRICTION) * one - STEP**2 * precision]])
    assert np.abs(np.linalg.eigvals(a)).max() < 1
    q = np.block([[zero, zero], [zero, STEP**2 * noise + 2 * (FRICTION - estimate) * STEP * one]])
    return solve_discrete_lyapunov(a, q)[:2, :2]


def run(**settings):
    sampler = gm.SGHMC(STEP, friction=FRICTION, steps=2, **settings)
    return gm.sample(conjugate(), sampler, chains=128, draws=3000, warmup=200, progress=False)


@pytest.mark.parametrize("estimate", [0.0, 1.2])
def test_the_stationary_law_on_a_gaussian_solves_the_lyapunov_equation(estimate):
    """With batches, and with a part of the friction set off against their noise; wrong noise is told apart."""
    _, mean, spread = posterior()
    tree = run(batch_size=SIZE, rows="y", noise=estimate)
    noise = without_replacement(spread)
    assert np.abs(z_scores(tree, mean, stationary(noise, estimate))).max() < 4.5
    assert np.abs(z_scores(tree, mean, stationary(noise * (N - 1) / (N - SIZE), estimate))).max() > 8
    assert np.abs(z_scores(tree, mean, stationary(noise, 1.2 - estimate))).max() > 8


def test_with_all_rows_it_is_near_the_posterior_and_has_the_law_of_its_recursion():
    precision, mean, _ = posterior()
    tree = run()
    assert np.abs(z_scores(tree, mean, stationary(np.zeros((2, 2))))).max() < 4.5
    assert np.abs(z_scores(tree, mean, np.linalg.inv(precision))).max() > 8
    assert (tree["sample_stats"]["n_steps"].values == 2).all()


def test_at_a_friction_of_one_per_step_positions_are_those_of_sgld():
    """x' = x + e r with r = e score + sqrt(2) noise is a Langevin step of 2 e^2 with the noise of r."""
    target = gm.compile(conjugate()).target
    step = 0.1
    sampler, langevin = gm.SGHMC(step, friction=1 / step, steps=1), gm.Langevin(2 * step**2)
    state = sampler.init(jax.random.key(0), target, jnp.zeros(2))
    other = langevin.init(jax.random.key(0), target, state.position + step * state.momentum)
    for i in range(20):
        state, _ = sampler.step(jax.random.key(i), target, state)
        np.testing.assert_allclose(state.position, other.position, rtol=2e-5, atol=1e-5)
        noise = jax.random.split(jax.random.fold_in(jax.random.key(i), 0))[1]
        other, _ = langevin.step(noise, target, other)


def test_at_a_point_without_a_score_the_momentum_turns_round():
    cut = gm.compile(gm.energy(lambda x: 0.5 * x**2 + jnp.where(x > 1.0, jnp.nan, 0.0), x=gm.Real())).target
    sampler = gm.SGHMC(0.5, steps=1)
    state = sampler.init(jax.random.key(0), cut, jnp.array([0.9]))._replace(momentum=jnp.array([2.0]))
    state, stats = sampler.step(jax.random.key(1), cut, state)
    assert state.position.tolist() == [jnp.float32(0.9)]
    assert state.momentum.tolist() == [-2.0]
    assert bool(stats["nan_evaluations"])
    assert bool(stats["diverging"])


def test_the_result_says_that_its_law_is_biased():
    tree = gm.sample(conjugate(), gm.SGHMC(batch_size=SIZE, rows="y"), draws=20, warmup=0, progress=False)
    assert "more so the smaller the batches" in tree["posterior"].attrs["bias"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_size": -1.0}, "a step is above zero"),
        ({"friction": 0.0}, r"SGHMC\(friction=0.0\): a finite number above zero"),
        ({"noise": 2.0}, r"SGHMC\(noise=2.0\): from 0 to the friction, 1.0, is possible. Raise the friction"),
        ({"noise": -0.1}, r"SGHMC\(noise=-0.1\): from 0 to the friction"),
        ({"steps": 0}, r"SGHMC\(steps=0\): a whole number of at least 1"),
        ({"friction": 30.0}, r"SGHMC\(step_size=0.05, friction=30.0\): their product is above one"),
        ({"batch_size": -3}, r"SGHMC\(batch_size=-3\)"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.SGHMC(**settings)
