import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.inference.kernels.metropolis import metropolis


def test_the_acceptance_probability_is_the_ratio_capped_at_one():
    for log_ratio, probability in ((0.5, 1.0), (-0.7, np.exp(-0.7)), (-np.inf, 0.0), (np.nan, 0.0)):
        _, stats = metropolis(jax.random.key(0), jnp.zeros(2), jnp.ones(2), jnp.array(log_ratio))
        np.testing.assert_allclose(stats["acceptance_rate"], probability, rtol=1e-6)
        assert bool(stats["nan_evaluations"]) == bool(np.isnan(log_ratio))


def test_proposals_are_accepted_that_often():
    keys = jax.random.split(jax.random.key(3), 40_000)
    moved, stats = jax.vmap(lambda k: metropolis(k, jnp.zeros(()), jnp.ones(()), jnp.log(0.3)))(keys)
    rate, se = float(moved.mean()), np.sqrt(0.3 * 0.7 / 40_000)
    assert abs(rate - 0.3) < 4.5 * se  # false alarms 7e-6
    np.testing.assert_array_equal(moved == 1.0, stats["accepted"])


def test_all_parts_of_a_state_move_together():
    state, proposal = {"x": jnp.zeros(2), "lp": jnp.zeros(())}, {"x": jnp.ones(2), "lp": jnp.ones(())}
    new, _ = metropolis(jax.random.key(0), state, proposal, jnp.array(1.0))
    assert new["x"].tolist() == [1.0, 1.0]
    assert float(new["lp"]) == 1.0
