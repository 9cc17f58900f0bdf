import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.inference.kernels.phase_space import Phase
from tests.samplers.laws import assert_exact, target

SCALE = 1.5


def gaussian():
    """N(0, SCALE^2) on the line, flat."""
    return gm.compile(gm.energy(lambda x: 0.5 * x**2 / SCALE**2, x=gm.Real())).target


def linear(sampler):
    """The step on a Gaussian as (x, v)' = A (x, v) + b z."""
    flat, key = gaussian(), jax.random.key(5)

    def step(at):
        x = at[:1]
        state = Phase(x, at[1:], *flat.log_density_and_score(x))
        new, _ = sampler.step(key, flat, state)
        return jnp.concatenate([new.position, new.velocity])

    here = jnp.zeros(2)
    return jax.jacfwd(step)(here), step(here) / jax.random.normal(key, (1,), here.dtype)


@pytest.mark.parametrize("adjusted_settings", [{}, {"metric": gm.adapt.DenseMetric()}, {"target_accept": 0.7}])
def test_the_adjusted_sampler_reproduces_the_law(adjusted_settings):
    sampler = gm.UnderdampedLangevin(adjusted=True, **adjusted_settings)
    tree = gm.sample(target(), sampler, draws=20_000, progress=False)
    assert_exact(tree, least_ess=1500)


@pytest.mark.parametrize("step_size", [0.1, 1.0, 2.4])
@pytest.mark.parametrize("friction", [0.2, 5.0])
def test_unadjusted_positions_have_the_variance_of_a_gaussian_to_rounding(step_size, friction, x64):
    a, b = linear(gm.UnderdampedLangevin(step_size, friction, metric=None))
    noise = np.outer(b, b)
    covariance = np.linalg.solve(np.eye(4) - np.kron(a, a), noise.ravel()).reshape(2, 2)  # C = A C A' + b b'
    np.testing.assert_allclose(covariance[0, 0], SCALE**2, rtol=1e-9)
    np.testing.assert_allclose(covariance[1, 1], 1.0 - step_size**2 / (4 * SCALE**2), rtol=1e-9)  # B A O A B's own
    np.testing.assert_allclose(np.linalg.det(a), np.exp(-friction * step_size), rtol=1e-9)  # only the bath contracts


def test_chains_of_the_unadjusted_sampler_have_the_law_of_a_gaussian_at_a_large_step():
    model = gm.energy(lambda x: 0.5 * x**2 / SCALE**2, x=gm.Real())
    sampler = gm.UnderdampedLangevin(1.8, metric=None)
    tree = gm.sample(model, sampler, chains=100, draws=2000, warmup=0, init={"x": 0.5}, progress=False)
    squares = (tree["posterior"]["x"].values[:, 200:] ** 2).mean(1)  # one per chain: independent
    error = squares.std() / 10
    assert abs(squares.mean() - SCALE**2) < 4.5 * error  # false alarms 7e-6
    biased = SCALE**2 / (1 - 1.8**2 / (4 * SCALE**2))  # of O B A B O, which errs in the positions
    assert abs(squares.mean() - biased) > 10 * error


def test_the_adjusted_step_conserves_energy_to_second_order_and_turns_when_it_rejects(x64):
    flat, key = gaussian(), jax.random.key(1)
    x = jnp.array([0.7])
    state = Phase(x, jnp.array([-0.4]), *flat.log_density_and_score(x))

    def error(step_size):
        sampler = gm.UnderdampedLangevin(step_size, 1e-12, adjusted=True, metric=None)
        new, stats = sampler.step(key, flat, state)
        return new, float(stats["energy_error"]), bool(stats["accepted"])

    sizes = [abs(error(h)[1]) for h in (0.02, 0.01)]
    np.testing.assert_allclose(sizes[0] / sizes[1], 8.0, rtol=0.05)  # of one step: third order
    new, _, accepted = error(400.0)
    assert not accepted
    np.testing.assert_allclose(new.position, state.position)
    np.testing.assert_allclose(new.velocity, -state.velocity, atol=1e-4)


def test_what_the_heat_bath_gives_is_no_energy_error(x64):
    flat, x = gaussian(), jnp.array([0.7])
    state = Phase(x, jnp.array([-0.4]), *flat.log_density_and_score(x))
    new, stats = gm.UnderdampedLangevin(0.01, metric=None).step(jax.random.key(1), flat, state)
    gained = 0.5 * float(new.velocity[0]) ** 2 - new.log_density - (0.5 * 0.4**2 - state.log_density)
    assert abs(gained) > 0.02  # a kick of size sqrt(2 step)
    assert abs(stats["energy_error"]) < 1e-4  # of order step^2.5


def test_warm_up_tunes_the_unadjusted_step_to_the_energy_error_asked_for():
    model = gm.energy(lambda x: jnp.sum(jnp.cosh(x)), x=gm.Real(20))
    for wanted in (5e-5, 5e-4):
        tree = gm.sample(model, gm.UnderdampedLangevin(energy_error=wanted), draws=2000, progress=False)
        found = float((tree["sample_stats"]["energy_error"].values ** 2).mean()) / 20
        assert abs(np.log(found / wanted)) < 0.5  # a step 8 % off


def test_only_the_unadjusted_law_is_declared_as_biased_and_nothing_else_is_suspect():
    assert gm.UnderdampedLangevin(adjusted=True).bias is None
    tree = gm.sample(target(), gm.UnderdampedLangevin(), draws=5000, progress=False)
    assert gm.check(tree).status in ("ok", "note")
    assert gm.check(tree)["law of the sampler"].status == "note"
    assert "differs from the target" in tree["posterior"].attrs["bias"]


def test_an_unadjusted_particle_bounces_off_the_end_of_the_support():
    model = gm.energy(lambda x: jnp.where(x > 0, 0.5 * x**2, jnp.inf), x=gm.Real())
    sampler = gm.UnderdampedLangevin(0.05, 1.0, metric=None)
    tree = gm.sample(model, sampler, chains=50, draws=4000, warmup=0, init={"x": 1.0}, progress=False)
    x = tree["posterior"]["x"].values[:, 500:]
    assert (x > 0).all()
    means = x.mean(1)
    assert abs(means.mean() - np.sqrt(2 / np.pi)) < 4.5 * means.std() / np.sqrt(50) + 0.02  # a wall errs by O(step)


def test_a_friction_is_positive():
    with pytest.raises(gm.SpecError, match=r"UnderdampedLangevin\(friction=0\): a friction is above zero"):
        gm.UnderdampedLangevin(friction=0)
