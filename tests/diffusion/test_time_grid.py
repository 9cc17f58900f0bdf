import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diffusion.time_grid import FixedGrid, check_grid, noise_ratio, reverse_grid

PROCESSES = [gm.VP(), gm.VE(0.05, 20.0), gm.EDM(20.0), gm.Cosine(), gm.Brownian(1.0, t_max=40.0)]


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
        check_grid("DDPM", steps, None, power)
    with pytest.raises(gm.SpecError, match=text):
        gm.DDPM(steps=steps, power=power)


def flat(process, data=False):
    model = np.zeros((3, 2)) if data else gm.joint(x=dist.Normal(0.0, 1.0))
    return gm.noise(model, process).flat


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("grid", [gm.PowerGrid(2.0), gm.KarrasGrid(), gm.LogSNRGrid()], ids=lambda g: type(g).__name__)
def test_every_grid_falls_from_the_noise_to_the_data(process, grid):
    for steps, data in ((1, True), (2, False), (7, True), (200, False)):
        times = np.asarray(grid.nodes(flat(process, data), steps))
        assert times[0] == np.float32(process.t_max)
        assert times[-1] == 0.0
        assert (np.diff(times) < 0).all()


def test_karras_is_even_in_a_root_of_the_noise_and_ends_after_the_least(x64):
    process = gm.VP()
    ratios = noise_ratio(process, gm.KarrasGrid(5.0).nodes(flat(process), 8))
    np.testing.assert_allclose(np.diff(ratios[:-1] ** 0.2, 2), 0.0, atol=1e-7)
    np.testing.assert_allclose(ratios[-2], noise_ratio(process, process.t_min), rtol=1e-6)


def test_log_snr_is_even_in_the_noise_with_the_width_of_the_data(x64):
    process = gm.EDM(20.0)
    times = gm.LogSNRGrid().nodes(flat(process), 12, 0.3)
    np.testing.assert_allclose(np.diff(np.log(np.asarray(times) ** 2 + 0.3**2), 2), 0.0, atol=1e-7)


def test_without_a_finite_score_at_the_end_it_is_even_to_the_least_noise(x64):
    process = gm.EDM(20.0)
    times = np.asarray(gm.LogSNRGrid().nodes(flat(process, data=True), 12, 0.3))
    np.testing.assert_allclose(times[-2], process.t_min, rtol=1e-6)
    np.testing.assert_allclose(np.diff(np.log(times[:-1] ** 2 + 0.3**2), 2), 0.0, atol=1e-7)


def test_a_process_that_keeps_some_noise_goes_evenly_to_it(x64):
    ratios = noise_ratio(gm.VE(), gm.KarrasGrid().nodes(flat(gm.VE(), data=True), 9))
    np.testing.assert_allclose(np.diff(np.asarray(ratios) ** (1 / 7), 2), 0.0, atol=1e-7)


@pytest.mark.filterwarnings("ignore:.*the noisy end")
def test_an_end_without_any_signal_is_no_division_by_zero():
    class Bare(gm.Process):
        t_max: float = 1.0

        def alpha(self, t):
            return 1.0 - t

        def sigma(self, t):
            return t

    for grid in (gm.KarrasGrid(), gm.LogSNRGrid()):
        times = np.asarray(grid.nodes(flat(Bare()), 10))
        assert np.isfinite(times).all()
        assert (np.diff(times) < 0).all()
    family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), Bare())
    for solver in (gm.UniPC(3, width=0.0), gm.DEIS(), gm.IPNDM()):
        values = gm.sample(family, gm.ReverseODE(solver, steps=40), draws=4000, progress=False)["posterior"]["x"].values
        assert abs(values.mean() - 1.0) < 4.5 * 0.5 / 4000**0.5 + 0.005
        assert abs(values.std() - 0.5) < 4.5 * 0.5 / 8000**0.5 + 0.01


def test_times_of_ones_own_are_taken_as_they_are():
    generator = gm.DDIM(steps=3, grid=np.array([1.0, 0.5, 0.1, 0.0]))
    assert generator.grid == FixedGrid([1.0, 0.5, 0.1, 0.0])
    np.testing.assert_allclose(generator.grid.nodes(flat(gm.VP()), 3), [1.0, 0.5, 0.1, 0.0])


@pytest.mark.parametrize(
    ("grid", "text"),
    [
        ("linear", r"ReverseODE\(grid='linear'\): a grid is needed, such as gm.PowerGrid"),
        (3, r"ReverseODE\(grid=3\)"),
        (["a", "b"], r"ReverseODE\(grid=\['a', 'b'\]\)"),
        ({1.0, 0.0}, r"ReverseODE\(grid=\{"),
        ([1.0, 0.5, 0.0], r"ReverseODE\(grid=...\): 3 times make 2 steps, not 3"),
        ([1.0, 0.5, 0.6, 0.0], r"FixedGrid\(...\): times fall from t_max to 0"),
        ([1.0, 0.5, 0.2, 0.1], r"FixedGrid\(...\): times fall from t_max to 0"),
        ([1.0, float("nan"), 0.2, 0.0], r"FixedGrid\(...\): times fall from t_max to 0"),
    ],
)
def test_what_is_no_grid_is_named(grid, text):
    with pytest.raises(gm.SpecError, match=text):
        gm.ReverseODE(steps=3, grid=grid)


def test_times_that_begin_elsewhere_are_refused():
    with pytest.raises(gm.SpecError, match="the way back starts at t_max = 1"):
        gm.sample(gm.noise(np.zeros((3, 2)), gm.VP()), gm.DDIM(steps=2, grid=[0.7, 0.1, 0.0]), draws=1)


def test_a_power_and_a_grid_are_one_too_many():
    with pytest.raises(gm.SpecError, match="both say where the steps lie"):
        gm.ReverseODE(power=2.0, grid=gm.KarrasGrid())
    with pytest.raises(gm.SpecError, match=r"KarrasGrid\(power=0\)"):
        gm.KarrasGrid(0)
