import numpy as np
import pytest
from scipy import stats

from gmdsl.core.errors import SpecError
from gmdsl.energies.truths.lines import draw_under_steps, integrate_line


def test_the_integral_and_the_means_of_a_gamma_density_that_ends_at_a_wall_are_exact():
    log_z, x, p = integrate_line("gamma", lambda x: 2 * np.log(x) - x, 0.0, 80.0)
    np.testing.assert_allclose([log_z, p @ x, p @ x**2], [np.log(2.0), 3.0, 12.0], rtol=1e-12)


def test_a_spike_between_the_nodes_is_refused():
    with pytest.raises(SpecError, match=r"spike: its constant does not settle"):
        integrate_line("spike", lambda x: -0.5 * ((x - 0.3) / 1e-5) ** 2, -1.0, 1.0)


def test_draws_under_a_coarse_staircase_have_the_law():
    edges = np.linspace(0.0, np.pi, 6)
    bounds = np.log(np.sin(np.clip(np.pi / 2, edges[:-1], edges[1:])))  # the sine is highest nearest to its top
    drawn = draw_under_steps(np.random.default_rng(0), lambda x: np.log(np.sin(x)), bounds, edges, 20_000)
    assert drawn.shape == (20_000,)
    assert stats.kstest(drawn, lambda x: 0.5 * (1 - np.cos(x))).pvalue > 1e-4


def test_no_draws_are_an_empty_array():
    assert draw_under_steps(np.random.default_rng(0), np.log, np.zeros(1), np.array([0.0, 1.0]), 0).shape == (0,)
