import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.learning.objective import Batch


def test_the_logit_is_the_log_ratio_of_model_and_noise(x64):
    reference = gm.joint(x=dist.Normal(0.0, 2.0))
    objective = gm.NoiseContrastive(reference, ratio=3)
    model = objective.prepare(gm.energy(lambda x, w: w * x**2, x=gm.Real(), w=gm.param(0.5)))
    model = gm.replace(model, params={**model.params, "log_z": gm.param(1.3)})
    exact = -0.5 * 0.7**2 - 1.3 - dist.Normal(0.0, 2.0).log_prob(0.7) - np.log(3.0)
    np.testing.assert_allclose(objective.logit(model)({"x": jnp.asarray(0.7)}), exact, rtol=1e-12)


def test_a_model_equal_to_the_noise_is_told_apart_by_chance_only(x64):
    reference = gm.joint(x=dist.Normal(0.0, 1.0))
    objective = gm.NoiseContrastive(reference)
    model = objective.prepare(gm.energy(lambda x, w: 0.5 * w * x**2, x=gm.Real(), w=gm.param(1.0)))
    model = gm.replace(model, params={**model.params, "log_z": gm.param(0.5 * np.log(2 * np.pi))})
    data = {"x": jnp.asarray(np.random.default_rng(0).normal(size=1000))}
    loss, _ = objective.loss(jax.random.key(0), model, Batch(data), ())
    np.testing.assert_allclose(loss, 2 * np.log(2.0), rtol=1e-12)


def test_noise_must_be_normalised_and_of_the_same_variables():
    with pytest.raises(gm.SpecError, match="unnormalised"):
        gm.NoiseContrastive(gm.energy(lambda x: x**2, x=gm.Real()))
    model = gm.energy(lambda x, w: w * x**2, x=gm.Real(), w=gm.param(1.0))
    with pytest.raises(gm.SpecError, match="the model has x, the reference y"):
        gm.fit(model, {"x": [1.0]}, gm.NoiseContrastive(gm.joint(y=dist.Normal(0, 1))), progress=False)


def test_noise_lives_in_the_space_of_the_model():
    spins = gm.energy(lambda s, w: w * (s[1:] * s[:-1]).sum(), s=gm.Spin(7), w=gm.param(0.1))
    data = {"s": np.sign(np.random.default_rng(0).normal(size=(20, 7))).astype(int)}
    noise = gm.joint(s=dist.Normal(0.0, 1.0).expand([7]))
    with pytest.raises(gm.SpecError, match=r"s lives in .*in the model, in .*in the reference.*one space"):
        gm.fit(spins, data, gm.NoiseContrastive(noise), progress=False)
    positive = gm.energy(lambda x, w: w * x, x=gm.Positive(), w=gm.param(1.0))
    with pytest.raises(gm.SpecError, match="one space"):
        gm.fit(positive, {"x": [1.0]}, gm.NoiseContrastive(gm.joint(x=dist.Normal(0.0, 1.0))), progress=False)
