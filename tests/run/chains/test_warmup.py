import numpy as np
import pytest

from gmdsl.run.chains.warmup import FINISH, WINDOW, WINDOW_END, schedule


def test_a_thousand_steps_give_stans_windows():
    phases = schedule(1000)
    assert np.flatnonzero(phases == WINDOW_END).tolist() == [99, 149, 249, 449, 949]
    assert (phases[:75] == 1).all()
    assert (phases[950:999] == 1).all()
    assert phases[-1] == FINISH


@pytest.mark.parametrize("warmup", [0, 1, 5, 20, 100, 149, 150, 200, 3000])
def test_any_length_ends_once_and_estimates_before_it(warmup):
    phases = schedule(warmup)
    assert len(phases) == warmup
    assert (phases == FINISH).sum() == min(warmup, 1)
    if warmup >= 20:
        assert (phases == WINDOW_END).sum() >= 1
        assert (phases == WINDOW).sum() >= 0.15 * warmup
