import numpy as np
import pytest

import gmdsl as gm


def test_noise_grows_geometrically_and_the_signal_stays(x64):
    process = gm.VE(0.02, 8.0)
    for t in (0.0, 0.25, 1.0):
        sigma = 0.02 * 400.0**t
        np.testing.assert_allclose(process.sigma(t), sigma, rtol=1e-12)
        np.testing.assert_allclose(process.diffusion(t), sigma * np.sqrt(2 * np.log(400.0)), rtol=1e-9)
        assert float(process.alpha(t)) == 1.0
        assert float(process.drift(t)) == 0.0


def test_another_last_time_stretches_the_same_range():
    assert float(gm.VE(0.1, 10.0, t_max=4.0).sigma(2.0)) == pytest.approx(1.0)


def test_the_way_back_starts_with_the_largest_noise():
    assert float(gm.VE(0.1, 10.0).prior_scale) == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"sigma_min": 0}, r"VE\(sigma_min=0\)"),
        ({"sigma_max": -2.0}, r"VE\(sigma_max=-2.0\)"),
        ({"t_max": 0.0}, r"VE\(t_max=0.0\)"),
        ({"sigma_min": 5.0, "sigma_max": 1.0}, r"VE\(sigma_min=5.0, sigma_max=1.0\): the noise must grow"),
    ],
)
def test_a_bad_setting_is_named_with_its_value(settings, text):
    with pytest.raises(gm.SpecError, match=text):
        gm.VE(**settings)
