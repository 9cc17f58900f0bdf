import numpy as np
import pytest

import gmdsl as gm


def test_the_rate_of_noise_is_pi_tan(x64):
    process = gm.Cosine()
    for t in (0.1, 0.5, 0.9, 0.999):
        beta = np.pi * np.tan(np.pi * t / 2)
        np.testing.assert_allclose(process.drift(t), -beta / 2, rtol=1e-9)
        np.testing.assert_allclose(process.diffusion(t) ** 2, beta, rtol=1e-9)
    assert abs(float(process.drift(0.0))) < 1e-9


def test_signal_and_noise_are_cosine_and_sine(x64):
    process = gm.Cosine()
    np.testing.assert_allclose([process.alpha(1 / 3), process.sigma(1 / 3)], [np.sqrt(0.75), 0.5], rtol=1e-12)
    assert float(process.prior_scale) == 1.0


@pytest.mark.parametrize("t_max", [0.0, 1.0, 1.5, -0.5])
def test_a_last_time_without_signal_is_an_error_with_its_value(t_max):
    with pytest.raises(gm.SpecError, match=rf"Cosine\(t_max={t_max}\): a time between 0 and 1"):
        gm.Cosine(t_max)
