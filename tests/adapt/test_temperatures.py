import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.adapt.temperatures import as_schedule, equal_rejection, power_ladder, rejection
from gmdsl.inference.interpolation import Geometric

ZERO, FIRST = jnp.zeros(()), jnp.int32(0)


def normal_points(n=4001):
    return jnp.asarray(stats.norm.ppf((np.arange(n) + 0.5) / n))


def test_the_effective_share_of_a_step_is_the_one_that_was_asked_for(x64):
    """Ratios N(0, 1): weights exp(b r) keep exp(-b^2) of the particles."""
    ratio = normal_points()
    beta = gm.adapt.EffectiveSize(0.8).following(Geometric(), FIRST, ZERO, ratio, jnp.zeros(len(ratio)))
    np.testing.assert_allclose(beta, np.sqrt(-np.log(0.8)), rtol=2e-3)


def test_the_rejection_of_a_step_is_the_one_that_was_asked_for(x64):
    """Ratios N(0, 1) and N(b, 1): the rejection is 2 Phi(b / sqrt 2) - 1."""
    ratio = normal_points()
    beta = gm.adapt.EqualRejection(0.2).following(Geometric(), FIRST, ZERO, ratio, jnp.zeros(len(ratio)))
    np.testing.assert_allclose(beta, np.sqrt(2.0) * stats.norm.ppf(0.6), rtol=2e-3)


def test_weights_and_points_without_density_count_as_they_are(x64):
    ratio = jnp.concatenate([normal_points(), jnp.full(4001, -jnp.inf)])
    weight = jnp.concatenate([jnp.zeros(4001), jnp.full(4001, -jnp.inf)])
    beta = gm.adapt.EffectiveSize(0.8).following(Geometric(), FIRST, ZERO, ratio, weight)
    np.testing.assert_allclose(beta, np.sqrt(-np.log(0.8)), rtol=2e-3)
    # those without density are lost at any step: they are no reason for a short one
    beta = gm.adapt.EffectiveSize(0.8).following(Geometric(), FIRST, ZERO, ratio, jnp.zeros(8002))
    np.testing.assert_allclose(beta, np.sqrt(-np.log(0.8)), rtol=2e-3)


def test_the_last_step_ends_at_the_target():
    ratio = 100.0 * normal_points(101)
    schedule = gm.adapt.EffectiveSize(0.9, most=3)
    assert schedule.following(Geometric(), jnp.int32(2), jnp.asarray(0.5), ratio, jnp.zeros(101)) == 1.0
    assert schedule.following(Geometric(), FIRST, ZERO, 0.01 * ratio / 100, jnp.zeros(101)) == 1.0


def test_rejection_of_two_laws_on_points():
    here, there = np.array([0.2, 0.5, 0.3]), np.array([0.1, 0.3, 0.6])
    exact = sum(h * t * (int(i < j) - int(i > j)) for i, h in enumerate(here) for j, t in enumerate(there))
    np.testing.assert_allclose(rejection(jnp.asarray(here), jnp.asarray(there)), exact, rtol=1e-5)


def test_a_ladder_is_moved_until_all_rates_are_equal(x64):
    """A barrier of b^2: rates of a ladder are differences of it, and even at the square roots."""
    betas = jnp.linspace(0.0, 1.0, 6)
    for _ in range(40):
        betas = equal_rejection(betas, jnp.diff(betas**2))
    np.testing.assert_allclose(betas, np.sqrt(np.linspace(0.0, 1.0, 6)), atol=1e-3)


def test_what_users_write_becomes_a_schedule_or_is_refused():
    assert as_schedule("SMC", 2, 2.0).fixed == (0.0, 0.25, 1.0) == power_ladder(2, 2.0).betas
    assert as_schedule("SMC", [0, 0.5, 1]).most == 2
    for wrong in (0, True, "ten", None, [0.0, 0.7, 0.5, 1.0], [0.2, 1.0]):
        with pytest.raises(gm.SpecError):
            as_schedule("SMC", wrong)
    for make in (
        lambda: gm.adapt.EffectiveSize(1.0),
        lambda: gm.adapt.EqualRejection(0.0),
        lambda: gm.adapt.EffectiveSize(most=0),
    ):
        with pytest.raises(gm.SpecError):
            make()
