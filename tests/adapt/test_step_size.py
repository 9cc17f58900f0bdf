import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.pytrees.fields import replace


class Toy(gm.Sampler):
    step_size: float = 1.0

    def step(self, key, target, state):
        return state, {}


def tuned(adapter, acceptance, steps=2000, start=1.0):
    """The step size after warm-up when the acceptance rate is a known function of the step."""
    state, sampler = adapter.start(replace(Toy(), step_size=jnp.asarray(start)), 1)

    def one(carry, _):
        state, sampler = carry
        stats = {"acceptance_rate": acceptance(sampler.step_size)}
        return adapter.update(state, sampler, None, None, stats), sampler.step_size

    (state, sampler), _ = jax.lax.scan(one, (state, sampler), None, steps)
    return float(adapter.finish(state, sampler).step_size)


@pytest.mark.parametrize("start", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("accept", [0.234, 0.8])
def test_the_step_settles_where_acceptance_meets_the_target(accept, start):
    found = tuned(gm.adapt.StepSize(target_accept=accept), lambda step: jnp.exp(-step / 3.0), start=start)
    assert abs(np.exp(-found / 3.0) - accept) < 0.02


def test_a_nan_acceptance_counts_as_a_rejection():
    state, sampler = gm.adapt.StepSize().start(Toy(), 1)
    _, sampler = gm.adapt.StepSize().update(state, sampler, None, None, {"acceptance_rate": jnp.nan})
    assert float(sampler.step_size) < 10.0
    assert np.isfinite(sampler.step_size)


def test_the_averages_restart_at_the_end_of_a_window():
    adapter = gm.adapt.StepSize()
    state, sampler = adapter.start(replace(Toy(), step_size=jnp.asarray(1.0)), 1)
    for _ in range(5):
        state, sampler = adapter.update(state, sampler, None, None, {"acceptance_rate": jnp.asarray(0.9)})
    stats = {"acceptance_rate": jnp.asarray(0.9), "warmup_window_end": jnp.asarray(True)}
    state, sampler = adapter.update(state, sampler, None, None, stats)
    assert float(state.count) == 0.0
    np.testing.assert_allclose(state.center, state.log_average, rtol=1e-6)
    assert float(state.center) > 0.5  # it has moved from the first step on


def test_a_target_outside_zero_and_one_is_refused():
    with pytest.raises(gm.SpecError, match="lies between 0 and 1"):
        gm.adapt.StepSize(target_accept=1.0)


def test_a_step_that_is_far_too_long_shrinks_at_once_and_grows_back_to_the_first_at_most():
    """Factors of e^1.5: down while all is rejected, up while all is accepted; then dual averaging."""
    rule = gm.adapt.StepSize(0.8)
    state, sampler = rule.start(gm.HMC(step_size=0.5), 1)
    found = []
    for rate in (0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.5):
        state, sampler = rule.update(state, sampler, None, None, {"acceptance_rate": jnp.float32(rate)})
        found.append(float(jnp.log(sampler.step_size / 0.5)) / 1.5)
    np.testing.assert_allclose(found[:6], [-1, -2, -3, -2, -1, 0], atol=1e-5)
    center = float(jnp.log(10.0))
    np.testing.assert_allclose(
        1.5 * found[6], center + 0.2 / 11.0 / 0.2, rtol=1e-4
    )  # a first averaged step, not a search
    first = rule.start(gm.HMC(step_size=0.5), 1)[0]
    usual, _ = rule.update(first, sampler, None, None, {"acceptance_rate": jnp.float32(0.6)})
    assert not usual.searching
    assert float(usual.count) == 1.0
