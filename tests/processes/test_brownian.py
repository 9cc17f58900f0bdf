import numpy as np
import pytest

import gmdsl as gm


def test_the_rate_is_constant_from_the_first_instant_on(x64):
    process = gm.Brownian(1.7, t_max=6.0)
    for t in (0.0, 1e-9, 0.3, 6.0):
        np.testing.assert_allclose(process.diffusion(t), 1.7, rtol=1e-9)
        assert float(process.drift(t)) == 0.0
        assert float(process.alpha(t)) == 1.0
        np.testing.assert_allclose(process.sigma(t) ** 2, 1.7**2 * t, rtol=1e-12)


def test_the_rate_is_finite_at_zero_in_single_precision():
    assert float(gm.Brownian(1.7).diffusion(0.0)) == pytest.approx(1.7, rel=1e-5)


def test_increments_are_independent(x64):
    process = gm.Brownian(2.0, t_max=9.0)
    np.testing.assert_allclose(process.transition(2.0, 7.0).std ** 2, 4.0 * 5.0, rtol=1e-12)


def test_sigma_is_how_the_rate_is_given():
    assert gm.Brownian(sigma=3.0).rate == 3.0


@pytest.mark.parametrize(
    ("settings", "text"),
    [({"sigma": -1.0}, r"Brownian\((rate|sigma)=-1.0\)"), ({"t_max": 0}, r"Brownian\(t_max=0\)")],
)
def test_a_bad_setting_is_named_with_its_value(settings, text):
    with pytest.raises(gm.SpecError, match=text):
        gm.Brownian(**settings)
