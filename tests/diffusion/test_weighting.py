import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import gmdsl as gm

PROCESSES = [gm.VP(), gm.SubVP(), gm.VE(0.05, 10.0), gm.EDM(20.0), gm.Rectified()]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)


def snr(process, t):
    return (process.alpha(t) / process.sigma(t)) ** 2


@each_process
def test_the_likelihood_weighs_the_error_of_the_score_by_half_the_squared_diffusion(process, x64):
    """Times are drawn with a density q(t) = d level / dt; w |D - x_0|^2 q must be g^2/2 |s - s*|^2 with the error of
    the score alpha / sigma^2 that of the datum."""
    weighting = gm.LikelihoodWeighting()
    for level in (0.05, 0.4, 0.8):
        t = weighting.time(process, jnp.asarray(level))
        density = jax.grad(process.level)(t)
        wanted = 0.5 * process.diffusion(t) ** 2 * (process.alpha(t) / process.sigma(t) ** 2) ** 2
        np.testing.assert_allclose(weighting.weight(process, t) * density, wanted, rtol=1e-7)
        np.testing.assert_allclose(process.level(t), level, atol=1e-4)


@each_process
def test_min_snr_is_the_lesser_of_snr_and_gamma_at_even_times(process, x64):
    weighting = gm.MinSNRWeighting(3.0)
    share = jnp.linspace(0.0, 1.0, 5)
    np.testing.assert_allclose(
        weighting.time(process, share), process.t_min + share * (process.t_max - process.t_min), rtol=1e-12
    )
    for t in (process.t_min, 0.5 * process.t_max, process.t_max):
        np.testing.assert_allclose(weighting.weight(process, t), min(float(snr(process, t)), 3.0), rtol=1e-12)


@each_process
def test_edm_draws_a_log_normal_ratio_and_weighs_it_as_table_1_says(process, x64):
    weighting = gm.EDMWeighting(0.7, mean=-0.4, std=0.5)
    for share in (0.1, 0.5, 0.9):
        t = weighting.time(process, jnp.asarray(share))
        ratio = float(process.sigma(t) / process.alpha(t))
        np.testing.assert_allclose(np.log(ratio), -0.4 + 0.5 * norm.ppf(share), atol=2e-3)
        np.testing.assert_allclose(weighting.weight(process, t), (ratio**2 + 0.49) / (ratio * 0.7) ** 2, rtol=1e-9)
    ends = weighting.time(process, jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(ends, [process.t_min, process.t_signal], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: gm.MinSNRWeighting(0.0), r"MinSNRWeighting\(gamma=0.0\)"),
        (lambda: gm.EDMWeighting(-1.0), r"EDMWeighting\(scale=-1.0\)"),
        (lambda: gm.EDMWeighting(mean=float("nan")), r"EDMWeighting\(mean=nan\)"),
        (lambda: gm.MinSNRWeighting(5.0, sigma=1.0), r"MinSNRWeighting\(sigma=...\): there is no such setting"),
    ],
)
def test_a_bad_setting_is_named(make, text):
    with pytest.raises(gm.SpecError, match=text):
        make()


def test_a_weighting_of_ones_own_takes_two_methods():
    class Middle(gm.Weighting):
        def time(self, process, share):
            return jnp.full_like(share, 0.5)

        def weight(self, process, t):
            return jnp.asarray(2.0)

    family = gm.score_model(gm.Rectified(), lambda x, t: 0.0 * x, prediction=gm.PredictClean(), x=gm.Real(2))
    loss, _ = gm.DenoisingScoreMatching(Middle()).loss(jax.random.key(0), family, {"x": jnp.full((9, 2), 3.0)}, ())
    np.testing.assert_allclose(loss, 18.0, rtol=1e-6)
