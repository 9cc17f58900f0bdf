import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.scipy.stats import norm

import gmdsl as gm

WEIGHTS, MEANS = np.array([0.3, 0.2, 0.5]), np.array([-2.0, 0.5, 3.0])
VARIANCES = np.array([0.3, 0.05, 0.8])
PROCESSES = [gm.ScoreDescent(1.5, t_max=2.0), gm.VP(), gm.SubVP(), gm.Rectified(), gm.EDM(5.0)]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)


def mixture():
    parts = dist.Normal(MEANS, VARIANCES**0.5)
    return gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=WEIGHTS), parts))


def rank(process, x, t):
    """The distribution function of x_t."""
    scale = np.sqrt(process.alpha(t) ** 2 * VARIANCES + process.sigma(t) ** 2)
    return float(norm.cdf((x - process.alpha(t) * MEANS) / scale) @ WEIGHTS)


@each_process
def test_a_point_keeps_its_rank(process, x64):
    """In one dimension the flow is monotone, so the distribution function at both ends is one number: from the data
    to the end, where Rectified has no signal left, and back."""
    family = gm.noise(mixture(), process)
    for x in (-2.6, 0.1, 2.2):
        before = rank(process, x, 0.0)
        for t in (0.3 * process.t_max, process.t_max):
            y = family.carry(x, 0.0, t, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(rank(process, y, t), before, atol=1e-7)
        np.testing.assert_allclose(family.carry(y, process.t_max, 0.0, rtol=1e-9, atol=1e-9), x, atol=1e-5)


def test_points_in_dicts_and_batches_are_carried():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=dist.Normal(jnp.zeros(2), 2.0))
    family = gm.noise(model, gm.Brownian(3.0))
    found = family.carry({"a": 1.0, "b": jnp.array([1.0, -2.0])}, 0.0, 1.0)
    np.testing.assert_allclose(found["a"], np.sqrt(10.0), rtol=1e-4)
    np.testing.assert_allclose(found["b"], np.array([1.0, -2.0]) * np.sqrt(13.0) / 2.0, rtol=1e-4)
    one = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.Brownian(3.0))
    many = jax.vmap(lambda x: one.carry(x, 0.0, 1.0))(jnp.array([-1.0, 0.5]))
    np.testing.assert_allclose(many, np.sqrt(10.0) * np.array([-1.0, 0.5]), rtol=1e-4)


def test_a_learned_score_carries_from_the_first_time_with_noise():
    process = gm.VP()
    best = lambda x, t: process.sigma(t) * x  # noqa: E731
    family = gm.score_model(process, best, prediction=gm.PredictNoise(), x=gm.Real())
    np.testing.assert_allclose(family.carry(0.7, 1.0, process.t_min), 0.7, rtol=1e-3)  # standard normal data
    with pytest.raises(gm.SpecError, match=r"carry\(x, t=0\): without noise"):
        family.carry(0.7, 0.0, 1.0)


def test_what_cannot_be_carried_is_named():
    family = gm.noise(mixture(), gm.VP())
    with pytest.raises(gm.SpecError, match=r"carry\(x, t=2.0\): time runs from 0"):
        family.carry(0.1, 0.0, 2.0)
    with pytest.raises(gm.SpecError, match=r"carry\(rtol=0\): a number above 0"):
        family.carry(0.1, 0.0, 1.0, rtol=0)
    with pytest.raises(gm.SpecError, match=r"carry\(x, t\): x has shape \(2,\)"):
        family.carry([0.1, 0.2], 0.0, 1.0)
