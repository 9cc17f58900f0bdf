import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.pytrees.fields import replace

DIM, CONSTANT = 7, 0.02  # E[error^2] = DIM * CONSTANT * step^6


class Toy(gm.Sampler):
    step_size: float = 1.0

    def step(self, key, target, state):
        return state, {}


def tuned(adapter, start, steps, end=None, constant=lambda i: CONSTANT):
    """The step size after warm-up, on normal errors of the sixth order; a window ends at step `end`."""
    state, sampler = adapter.start(replace(Toy(), step_size=jnp.asarray(start)), DIM)

    def one(carry, at):
        i, key = at
        state, sampler = carry
        error = jnp.sqrt(DIM * constant(i)) * sampler.step_size**3 * jax.random.normal(key)
        stats = {"energy_error": error, "warmup_window_end": i == (-1 if end is None else end)}
        return adapter.update(state, sampler, None, None, stats), None

    keys = jax.random.split(jax.random.key(3), steps)
    (state, sampler), _ = jax.lax.scan(one, (state, sampler), (jnp.arange(steps), keys))
    return float(adapter.finish(state, sampler).step_size)


@pytest.mark.parametrize("start", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("target", [5e-4, 0.1])
def test_the_step_settles_where_the_mean_squared_error_per_dimension_meets_the_target(start, target):
    found = tuned(gm.adapt.EnergyError(target, memory=2000.0), start, 2000)
    np.testing.assert_allclose(found, (target / CONSTANT) ** (1 / 6), rtol=0.03)  # 5 s.e.: sqrt(2 / 2000) / 6


def test_what_was_seen_before_the_end_of_a_window_is_forgotten():
    steep = lambda i: jnp.where(i < 200, 1e6 * CONSTANT, CONSTANT)  # noqa: E731
    found = tuned(gm.adapt.EnergyError(memory=2000.0), 1.0, 1200, end=199, constant=steep)
    np.testing.assert_allclose(found, (5e-4 / CONSTANT) ** (1 / 6), rtol=0.05)


@pytest.mark.parametrize("error", [jnp.nan, jnp.inf])
def test_an_error_that_is_no_number_makes_the_step_shorter(error):
    state, sampler = gm.adapt.EnergyError().start(Toy(), 1)
    _, sampler = gm.adapt.EnergyError().update(state, sampler, None, None, {"energy_error": jnp.asarray(error)})
    np.testing.assert_allclose(sampler.step_size, 100.0 ** (-1 / 6), rtol=1e-5)


def test_settings_out_of_range_are_refused_with_a_fix():
    with pytest.raises(gm.SpecError, match=r"EnergyError\(target=0.0\): a mean square is above zero. Try 5e-4"):
        gm.adapt.EnergyError(0.0)
    with pytest.raises(gm.SpecError, match=r"EnergyError\(memory=0.5\)"):
        gm.adapt.EnergyError(memory=0.5)
