import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.adapt.trajectory_length import _slope

SCALES = np.array([1.0, 1.0, 0.3])


def stats(time, x, r):
    """Exact trajectories of a Gaussian with unit mass: harmonic oscillators, one per coordinate."""
    w = 1.0 / SCALES
    end = x * jnp.cos(w * time) + r / w * jnp.sin(w * time)
    velocity = -x * w * jnp.sin(w * time) + r * jnp.cos(w * time)
    return {"acceptance_rate": jnp.ones(()), "_start": x, "_end": end, "_velocity": velocity, "_time": time}


def test_the_slope_is_the_derivative_of_the_criterion(x64):
    """The criterion over many chains by finite differences in the logarithm of the time."""
    key_x, key_r = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (500, 3)) * SCALES
    r = jax.random.normal(key_r, (500, 3))

    def criterion(time):
        end = jax.vmap(lambda x, r: stats(time, x, r)["_end"])(x, r)
        square = lambda y: jnp.sum((y - y.mean(0)) ** 2, axis=1)  # noqa: E731
        return 0.25 * jnp.mean((square(end) - square(x)) ** 2)

    for time in (0.3, 0.9, 2.0):
        slopes = jax.vmap(lambda x, r, t=time: _slope(stats(t, x, r)), axis_name="lanes")(x, r)
        exact = time * jax.grad(criterion)(time)
        # the mean of the ends moves with time too, which the rule leaves out: an error of order 1 / chains
        np.testing.assert_allclose(slopes, exact, rtol=0.02, atol=0.02)


def test_the_length_settles_where_the_criterion_is_largest():
    """For one Gaussian scale, the mean over times evenly spread on (0, T) of the criterion peaks at a known T."""
    model = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(20))
    sampler = gm.ChEESHMC(target_accept=0.99)  # short steps, so that whole numbers of them do not matter
    stats = gm.sample(model, sampler, chains=64, draws=100, warmup=800, progress=False)["sample_stats"]
    longest = float(stats["n_steps"].max() * stats["step_size"].mean())
    # the mean over u of sin(uT)^2 is largest where tan 2T = 2T
    assert abs(longest - 2.2467) < 0.35


def test_settings_out_of_range_are_refused():
    with pytest.raises(gm.SpecError, match=r"TrajectoryLength\(rate=0.0\)"):
        gm.adapt.TrajectoryLength(rate=0.0)
    with pytest.raises(gm.SpecError, match=r"memory=1.0"):
        gm.adapt.TrajectoryLength(memory=1.0)
