import blackjax
import blackjax.mcmc.integrators
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.inference.kernels.metric import root
from gmdsl.inference.kernels.phase_space import Phase
from gmdsl.samplers.mclmc import turn
from tests.samplers.laws import assert_exact, target

FORCE = np.array([0.3, -1.1, 0.8])


def bumpy(dim=3):
    model = gm.energy(lambda x: jnp.sum(jnp.cosh(x)) + 0.3 * x[0] * x[1] + 0.2 * x[2], x=gm.Real(dim))
    return gm.compile(model).target


def start(flat, x, u):
    return Phase(x, u / jnp.linalg.norm(u), *flat.log_density_and_score(x))


HERE, TOWARD = [0.7, -0.4, 0.2], [0.5, 1.0, -0.3]


def unit(*values):
    return np.array(values) / np.linalg.norm(values)


@pytest.mark.parametrize("settings", [{}, {"metric": gm.adapt.DenseMetric()}, {"target_accept": 0.95}])
def test_the_adjusted_sampler_reproduces_the_law(settings):
    tree = gm.sample(target(), gm.MCLMC(adjusted=True, **settings), draws=10_000, progress=False)
    assert_exact(tree, least_ess=2000)


@pytest.mark.parametrize("time", [1e-3, 0.5, 1.4, 8.0])
def test_a_turn_solves_its_equation(time, x64):
    u, change, n = np.array(unit(1.0, 2.0, -0.5)), 0.0, 4000

    def slope(u):
        return (FORCE - (FORCE @ u) * u) / 2.0, FORCE @ u  # du/dt and dK/dt, d - 1 = 2

    found, told = turn(jnp.array(u), FORCE, jnp.asarray(time))
    h = time / n
    for _ in range(n):  # Runge and Kutta
        a = slope(u)
        b = slope(u + 0.5 * h * a[0])
        c = slope(u + 0.5 * h * b[0])
        d = slope(u + h * c[0])
        u = u + h / 6 * (a[0] + 2 * b[0] + 2 * c[0] + d[0])
        change += h / 6 * (a[1] + 2 * b[1] + 2 * c[1] + d[1])
    np.testing.assert_allclose(found, u, atol=1e-10)
    np.testing.assert_allclose(told, change, rtol=1e-9)


@pytest.mark.parametrize("time", [0.2, 3.0])
def test_the_change_of_kinetic_energy_is_the_log_jacobian_of_the_turn_on_the_sphere(time, x64):
    u = unit(1.0, 2.0, -0.5)
    new, change = turn(u, FORCE, jnp.asarray(time))
    jacobian = jax.jacfwd(lambda u: turn(u, FORCE, jnp.asarray(time))[0])(jnp.asarray(u))
    before, after = (np.linalg.svd(np.outer(v, v))[0][:, 1:] for v in (u, new))  # bases of the tangents
    area = abs(np.linalg.det(after.T @ np.asarray(jacobian) @ before))
    np.testing.assert_allclose(np.log(area), -float(change), rtol=1e-9)


def test_turns_at_the_edges_are_as_they_should_be():
    u, tilted = jnp.array([0.6, 0.8]), jnp.array([0.8, 0.6])
    new, change = turn(u, jnp.zeros(2), jnp.asarray(1.0))
    np.testing.assert_allclose(new, u, rtol=1e-6)
    assert float(change) == 0.0
    away, lost = turn(-u, 100.0 * u, jnp.asarray(1.0))  # straight against the force, which has no side to turn to
    np.testing.assert_allclose(away, -u, atol=1e-3)
    np.testing.assert_allclose(lost, -100.0, rtol=1e-3)
    new, change = turn(tilted, 1e4 * u, jnp.asarray(1.0))
    np.testing.assert_allclose(new, u, rtol=1e-6)
    np.testing.assert_allclose(change, 1e4 + np.log(0.5 * (1 + tilted @ u)), rtol=1e-6)
    many = jnp.ones(100_000) / np.sqrt(100_000)
    small = turn(many, 1e-3 * many, jnp.asarray(1.0))[1]
    np.testing.assert_allclose(small, 1e-3, rtol=1e-3)  # no cancellation in single precision


def test_the_integrator_is_blackjaxs_own(x64):
    flat, mass = bumpy(), jnp.array([0.5, 2.0, 1.3])
    here = start(flat, jnp.array(HERE), jnp.array(TOWARD))
    new, change = gm.MCLMC(0.3)._integrate(flat, root(mass), here)
    state = blackjax.mcmc.integrators.IntegratorState(here.position, here.velocity, here.log_density, here.score)
    oracle = blackjax.mcmc.integrators.isokinetic_mclachlan(flat.log_density, inverse_mass_matrix=mass)
    other, told = oracle(state, 0.3)
    np.testing.assert_allclose(new.position, other.position, rtol=1e-10)
    np.testing.assert_allclose(new.velocity, other.momentum, rtol=1e-10)
    np.testing.assert_allclose(change, told, rtol=1e-9)


def test_the_integrator_is_reversible_and_of_second_order(x64):
    flat = bumpy()

    def run(state, h, n):
        total = 0.0
        for _ in range(n):
            state, change = gm.MCLMC(h)._integrate(flat, root(None), state)
            total += change
        return state, total

    here = start(flat, jnp.array(HERE), jnp.array(TOWARD))
    there, told = run(here, 0.4, 8)
    back, untold = run(there._replace(velocity=-there.velocity), 0.4, 8)
    np.testing.assert_allclose(back.position, here.position, atol=1e-11)
    np.testing.assert_allclose(told, -untold, rtol=1e-9)

    def error(n):
        end, total = run(here, 1.0 / n, n)
        return abs(float(total + here.log_density - end.log_density))

    np.testing.assert_allclose(error(10) / error(20), 4.0, rtol=0.1)


def test_the_direction_is_forgotten_over_the_length(x64):
    dim = 20_000
    flat = gm.compile(gm.energy(lambda x: 0.0 * jnp.sum(x), x=gm.Real(dim))).target
    sampler = gm.MCLMC(0.5, length=2.0)
    state = sampler.init(jax.random.key(0), flat, jnp.zeros(dim))
    u, step = state.velocity, jax.jit(lambda key, state: sampler.step(key, flat, state)[0])
    for i in range(6):
        state = step(jax.random.key(i + 1), state)
    np.testing.assert_allclose(u @ state.velocity, np.exp(-6 * 0.5 / 2.0), atol=4.5 / np.sqrt(dim))
    np.testing.assert_allclose(state.velocity @ state.velocity, 1.0)


def test_the_unadjusted_sampler_has_moments_near_the_truth():
    grid = np.linspace(-8, 8, 20_001)
    weight = np.exp(-np.cosh(grid) + 0.5 * grid)
    mean, square = np.sum(weight * grid) / weight.sum(), np.sum(weight * grid**2) / weight.sum()
    model = gm.energy(lambda x: jnp.sum(jnp.cosh(x) - 0.5 * x), x=gm.Real(10))
    x = gm.sample(model, gm.MCLMC(), draws=20_000, progress=False)["posterior"]["x"].values
    assert abs(x.mean() - mean) < 0.02  # bias and noise; 0.03 standard deviations
    assert abs((x**2).mean() / square - 1.0) < 0.03


def test_warm_up_tunes_the_unadjusted_step_to_the_energy_error_asked_for():
    model = gm.energy(lambda x: jnp.sum(jnp.cosh(x)), x=gm.Real(20))
    for wanted in (5e-5, 5e-4):
        tree = gm.sample(model, gm.MCLMC(energy_error=wanted), draws=2000, progress=False)
        found = float((tree["sample_stats"]["energy_error"].values ** 2).mean()) / 20
        assert abs(np.log(found / wanted)) < 0.5  # a step 8 % off


def test_paths_have_the_length_asked_for_on_average_and_no_more_steps_than_allowed():
    model = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(5))
    settings = {"adjusted": True, "length": 3.0, "metric": None}
    run = {"draws": 4000, "warmup": 0, "init": {"x": np.ones(5)}, "progress": False}
    stats = gm.sample(model, gm.MCLMC(0.25, **settings), **run)["sample_stats"]
    assert abs(float(stats["n_steps"].mean()) - 12.5) < 4.5 * 7 / np.sqrt(16_000)  # even on 1..24
    stats = gm.sample(model, gm.MCLMC(0.25, max_steps=5, **settings), **run)["sample_stats"]
    assert int(stats["n_steps"].max()) == 5


def test_the_acceptance_rate_settles_near_the_target():
    wide = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(50))
    tree = gm.sample(wide, gm.MCLMC(adjusted=True), draws=500, progress=False)
    assert abs(float(tree["sample_stats"]["acceptance_rate"].mean()) - 0.9) < 0.06


def test_one_dimension_is_refused_at_the_border_in_a_block_too():
    message = r"MCLMC\(\): one dimension.*nowhere to turn on a line.\n? Take gm.UnderdampedLangevin"
    with pytest.raises(gm.SpecError, match=message) as caught:
        gm.sample(gm.energy(lambda x: x**2, x=gm.Real()), gm.MCLMC(), progress=False)
    assert caught.value.__cause__ is None
    assert not hasattr(caught.value, "__notes__")
    both = gm.joint(a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 1.0))
    with pytest.raises(gm.SpecError, match=message):
        gm.sample(both, gm.blocks({"a": gm.MCLMC(), "b": gm.NUTS()}), progress=False)


def test_settings_out_of_range_are_refused():
    with pytest.raises(gm.SpecError, match=r"MCLMC\(length=0\): a length is above zero"):
        gm.MCLMC(length=0)
    with pytest.raises(gm.SpecError, match=r"MCLMC\(max_steps=0\)"):
        gm.MCLMC(max_steps=0)


def test_only_the_unadjusted_law_is_declared_as_biased():
    assert gm.MCLMC(adjusted=True).bias is None
    assert "O(step_size^2)" in gm.MCLMC().bias
