import numpy as np
import pytest

import gmdsl as gm
from gmdsl.diffusion.time_grid import check_grid, reverse_grid


def test_times_run_from_the_last_to_zero_by_a_power():
    np.testing.assert_allclose(reverse_grid(9.0, 3, 1.0), [9.0, 6.0, 3.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(reverse_grid(8.0, 2, 3.0), [8.0, 1.0, 0.0], atol=1e-6)


def test_the_ends_are_exact():
    times = reverse_grid(0.999, 500, 1.0)
    assert float(times[0]) == np.float32(0.999)
    assert float(times[-1]) == 0.0
    assert (np.diff(times) < 0).all()


@pytest.mark.parametrize(
    ("steps", "power", "text"),
    [
        (0, 1.0, r"DDPM\(steps=0\): a whole number of at least 1"),
        (2.5, 1.0, r"DDPM\(steps=2.5\)"),
        (True, 1.0, r"DDPM\(steps=True\)"),
        (10, 0.0, r"DDPM\(power=0.0\): a number above 0"),
        (10, -2, r"DDPM\(power=-2\)"),
        (10, float("nan"), r"DDPM\(power=nan\)"),
    ],
)
def test_settings_out_of_range_are_named_with_their_value(steps, power, text):
    with pytest.raises(gm.SpecError, match=text):
        check_grid("DDPM", steps, power)
    with pytest.raises(gm.SpecError, match=text):
        gm.DDPM(steps=steps, power=power)
