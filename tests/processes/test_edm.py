import numpy as np
import pytest

import gmdsl as gm


def test_time_is_the_scale_of_the_noise(x64):
    process = gm.EDM(80.0)
    for t in (1e-3, 0.5, 80.0):
        assert float(process.sigma(t)) == t
        np.testing.assert_allclose(process.diffusion(t) ** 2, 2 * t, rtol=1e-12)
        assert float(process.drift(t)) == 0.0
    assert float(process.diffusion(0.0)) < 1e-4


def test_the_flow_is_the_noise_in_the_point(x64):
    """dx/dt = (x - D) / t, equation 3 of the paper."""
    process, x, denoised = gm.EDM(), np.array([2.0, -1.0]), np.array([0.5, 0.5])
    score = process.score_of(x, denoised, 3.0)
    np.testing.assert_allclose(process.velocity(x, score, 3.0), (x - denoised) / 3.0, rtol=1e-12)


@pytest.mark.parametrize("t_max", [0.0, -1.0, float("inf")])
def test_a_bad_setting_is_named_with_its_value(t_max):
    with pytest.raises(gm.SpecError, match=rf"EDM\(t_max={t_max}\)"):
        gm.EDM(t_max)
