import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm


def test_drift_and_diffusion_are_minus_half_beta_and_root_beta(x64):
    process = gm.VP(0.2, 12.0)
    for t in (0.0, 0.1, 0.5, 1.0):
        beta = 0.2 + 11.8 * t
        np.testing.assert_allclose(process.drift(t), -beta / 2, rtol=1e-9)
        np.testing.assert_allclose(process.diffusion(t), np.sqrt(beta), rtol=1e-9)


def test_signal_and_noise_are_the_integral_of_beta(x64):
    process, t = gm.VP(), np.linspace(0.0, 1.0, 5)
    total = 0.1 * t + 19.9 * t**2 / 2
    np.testing.assert_allclose(process.alpha(t), np.exp(-total / 2), rtol=1e-14)
    np.testing.assert_allclose(process.sigma(t) ** 2, 1 - np.exp(-total), rtol=1e-12)


def test_small_noise_keeps_its_digits_in_single_precision():
    t = jnp.float32(1e-5)
    np.testing.assert_allclose(gm.VP().sigma(t) ** 2, 1e-6, rtol=2e-3)


def test_data_of_variance_one_keep_it_and_all_data_end_standard_normal():
    process = gm.VP()
    assert float(process.alpha(0.3) ** 2 + process.sigma(0.3) ** 2) == pytest.approx(1.0)
    assert float(process.prior_scale) == 1.0
    assert float(process.alpha(1.0)) < 0.01


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"beta_min": 0.0}, r"VP\(beta_min=0.0\): a finite number above zero"),
        ({"beta_max": -1}, r"VP\(beta_max=-1\)"),
        ({"beta_max": float("inf")}, r"VP\(beta_max=inf\)"),
        ({"t_max": float("nan")}, r"VP\(t_max=nan\)"),
    ],
)
def test_a_bad_setting_is_named_with_its_value(settings, text):
    with pytest.raises(gm.SpecError, match=text):
        gm.VP(**settings)
