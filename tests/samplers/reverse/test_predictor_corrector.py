import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def test_without_corrections_it_is_ddpm_with_other_noise():
    """On one datum both end there, whatever the noise; so it does with corrections."""
    family = gm.noise(np.full((1, 2), 3.0), gm.VP())
    for corrections in (0, 2):
        tree = gm.sample(family, gm.PredictorCorrector(7, corrections), draws=20, progress=False)
        np.testing.assert_allclose(tree["posterior"]["x"].values, 3.0, rtol=1e-4)


def test_corrections_take_few_steps_to_the_law():
    """Eight ancestral steps alone leave a bias; ten corrections after each take most of it away."""
    parts = dist.Normal(jnp.array([-2.0, 1.0]), jnp.array([0.4, 0.8]))
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts))
    family = gm.noise(model, gm.VP())
    cdf = lambda x: 0.3 * stats.norm.cdf(x, -2.0, 0.4) + 0.7 * stats.norm.cdf(x, 1.0, 0.8)  # noqa: E731

    def distance(corrections):
        generator = gm.PredictorCorrector(8, corrections, step_size=0.3)
        tree = gm.sample(family, generator, draws=10_000, progress=False)
        return stats.kstest(tree["posterior"]["x"].values.ravel(), cdf).statistic

    plain, corrected = distance(0), distance(10)
    assert plain > 0.05
    assert corrected < 0.5 * plain


def test_each_correction_is_a_langevin_step_that_leaves_a_gaussian_as_it_should(x64):
    """In N(0, v) under noise: x <- x - (a / 2) x / v + sqrt(a) z; a whole draw of two steps is affine in the start."""
    process = gm.EDM(5.0)
    flat = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), process).flat
    generator = gm.PredictorCorrector(2, 1, step_size=0.2, grid=(5.0, 1.0, 0.0))
    keys = jax.random.split(jax.random.key(0), 40_000)
    x = np.asarray(jax.vmap(lambda key: generator.draw(key, flat)[0])(keys)).ravel()
    first = process.bridge(1.0, 5.0)
    variance = (first.noisy + first.clean / 26.0) ** 2 * 25.0 + first.std**2
    variance = (1.0 - 0.1 / 2.0) ** 2 * variance + 0.2  # the Langevin step at noise 1: v = 2, a = 0.2
    variance = variance * 0.5**2  # to no noise: the denoised point
    z = (np.mean(x**2) - variance) / (variance * np.sqrt(2.0 / len(x)))
    assert abs(z) < 4.5


def test_settings_out_of_range_are_named():
    with pytest.raises(gm.SpecError, match=r"PredictorCorrector\(step_size=5.0\): from 4 on"):
        gm.PredictorCorrector(step_size=5.0)
    with pytest.raises(gm.SpecError, match=r"PredictorCorrector\(corrections=-1\)"):
        gm.PredictorCorrector(corrections=-1)
