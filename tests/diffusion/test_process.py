import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diffusion.process import Bridge, Transition


class Linear(gm.Process):
    """A user's own: the signal fades along a straight line (rectified flow)."""

    t_max: float = 0.98

    def alpha(self, t):
        return 1.0 - t

    def sigma(self, t):
        return t


PROCESSES = [
    gm.VP(),
    gm.VE(0.1, 20.0),
    gm.Brownian(1.5, t_max=4.0),
    gm.EDM(30.0),
    gm.Cosine(),
    Linear(),
    gm.SubVP(),
    gm.Rectified(),
]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)


def times(process, count=7):
    return np.linspace(0.0, process.t_max, count + 1)[1:]


@each_process
def test_the_moments_solve_the_stochastic_differential_equation(process, x64):
    """d alpha/dt = f alpha and d sigma^2/dt = 2 f sigma^2 + g^2, by central differences."""
    h = 1e-6 * process.t_max
    for t in times(process)[:-1]:
        f, g = process.drift(t), process.diffusion(t)
        slope = (process.alpha(t + h) - process.alpha(t - h)) / (2 * h)
        growth = (process.sigma(t + h) ** 2 - process.sigma(t - h) ** 2) / (2 * h)
        np.testing.assert_allclose(slope, f * process.alpha(t), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(growth, 2 * f * process.sigma(t) ** 2 + g**2, rtol=1e-6, atol=1e-9)


@each_process
def test_two_transitions_make_one(process, x64):
    s, t, u = 0.2 * process.t_max, 0.5 * process.t_max, 0.9 * process.t_max
    first, second, both = process.transition(s, t), process.transition(t, u), process.transition(s, u)
    np.testing.assert_allclose(second.scale * first.scale, both.scale, rtol=1e-12)
    np.testing.assert_allclose((second.scale * first.std) ** 2 + second.std**2, both.std**2, rtol=1e-10)
    start = process.transition(1e-12 * process.t_max, u)
    np.testing.assert_allclose(start.scale, process.alpha(u), rtol=1e-9)
    assert isinstance(both, Transition)


@each_process
def test_the_bridge_is_the_conditional_of_the_joint_gaussian(process, x64):
    """Given x_0, (x_s, x_t) is Gaussian with Cov = r sigma_s^2 (r the scale from s to t); condition by hand."""
    s, t, x_0, x_t = 0.3 * process.t_max, 0.8 * process.t_max, 0.7, -1.9
    step = process.transition(s, t)
    mean_s, mean_t = process.alpha(s) * x_0, process.alpha(t) * x_0
    var_s, var_t = process.sigma(s) ** 2, step.scale**2 * process.sigma(s) ** 2 + step.std**2
    cross = step.scale * var_s
    np.testing.assert_allclose(var_t, process.sigma(t) ** 2, rtol=1e-10)
    bridge = process.bridge(s, t)
    np.testing.assert_allclose(
        bridge.noisy * x_t + bridge.clean * x_0, mean_s + cross / var_t * (x_t - mean_t), rtol=1e-10
    )
    np.testing.assert_allclose(bridge.std**2, var_s - cross**2 / var_t, rtol=1e-9)
    assert isinstance(bridge, Bridge)


def test_the_bridge_to_the_data_is_the_data():
    bridge = gm.VP().bridge(0.0, 0.5)
    np.testing.assert_allclose(bridge, Bridge(0.0, 1.0, 0.0), atol=1e-6)


def test_the_bridge_of_brownian_noise_has_the_variance_of_the_brownian_bridge(x64):
    """sigma^2 Delta (t - Delta) / t, where the tutorial prints zero."""
    bridge = gm.Brownian(2.0, t_max=5.0).bridge(1.5, 4.0)
    np.testing.assert_allclose(bridge.std**2, 4.0 * 2.5 * 1.5 / 4.0, rtol=1e-12)
    np.testing.assert_allclose([bridge.noisy, bridge.clean], [1.5 / 4.0, 2.5 / 4.0], rtol=1e-12)


@each_process
def test_denoised_point_score_and_noise_are_one_vector(process, x64):
    """For a datum that is known, all three are known."""
    x_0, noise, t = jnp.array([1.0, -2.0, 0.5]), jnp.array([0.3, 0.1, -1.4]), 0.6 * process.t_max
    x = process.noisy(x_0, noise, t)
    score = -(x - process.alpha(t) * x_0) / process.sigma(t) ** 2  # of N(alpha x_0, sigma^2)
    np.testing.assert_allclose(process.denoised(x, score, t), x_0, rtol=1e-9)
    np.testing.assert_allclose(process.score_of(x, x_0, t), score, rtol=1e-12)
    np.testing.assert_allclose(process.noise_of(x, x_0, t), noise, rtol=1e-9)


@each_process
def test_the_velocity_moves_the_law_as_the_process_does(process, x64):
    """The continuity equation for N(0, alpha^2 + sigma^2): its points must scale with its standard deviation."""
    t, x, h = 0.5 * process.t_max, jnp.array([2.0]), 1e-6 * process.t_max

    def sd(t):
        return jnp.sqrt(process.alpha(t) ** 2 * 1.7 + process.sigma(t) ** 2)

    rate = (jnp.log(sd(t + h)) - jnp.log(sd(t - h))) / (2 * h)
    np.testing.assert_allclose(process.velocity(x, -x / sd(t) ** 2, t), rate * x, rtol=1e-7)


@each_process
def test_the_time_of_a_level_inverts_the_level_of_a_time(process, x64):
    """To 1e-4 of the range; by the cosine to 0.02, whose levels lie far apart in the table at the noisy end."""
    levels = np.linspace(0.0, 1.0, 23)
    found = jax.vmap(process.level)(process.time_at(levels))
    np.testing.assert_allclose(found, levels, atol=0.02 if isinstance(process, gm.Cosine) else 1e-4)
    ends = process.time_at(jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(ends, [process.t_min, process.t_signal], rtol=1e-9)

    def ratio(t):
        return np.log(process.sigma(t) / process.alpha(t))

    middle = float(process.time_at(jnp.asarray(0.5)))
    np.testing.assert_allclose(ratio(middle), (ratio(process.t_min) + ratio(process.t_signal)) / 2, atol=1e-4)


@each_process
def test_everything_is_finite_from_the_first_time_to_the_last(process):
    """Also in single precision, and at t = 0 (where only the rate of a noise that starts at once may not be)."""
    for t in (0.0, process.t_min, process.t_max):
        for value in (process.drift(t), process.diffusion(t), process.level(t), *process.transition(0.0, t)):
            assert np.isfinite(value)
        assert process.diffusion(t) >= 0.0
    assert process.alpha(0.0) == 1.0


def test_times_may_be_whole_numbers():
    process = gm.Brownian(2.0, t_max=9)
    assert float(process.diffusion(4)) == pytest.approx(2.0)
    assert float(process.level(9)) == pytest.approx(1.0)


def test_the_way_back_starts_from_the_law_the_process_tends_to():
    assert float(gm.VP().prior_scale) == 1.0
    assert float(gm.Brownian(2.0, t_max=9.0).prior_scale) == 6.0
    assert float(Linear().prior_scale) == pytest.approx(0.98)


def test_a_process_without_its_two_functions_or_its_last_time_cannot_be_made():
    class Half(gm.Process):
        t_max: float = 1.0

        def alpha(self, t):
            return 1.0

    with pytest.raises(TypeError, match="sigma"):
        Half()


def test_a_process_of_ones_own_works_everywhere(x64):
    """N(1, 0.5^2) under x_t = (1 - t) x_0 + t eps: score, likelihood, and the exact law after every way back."""
    process = Linear()
    family = gm.noise(gm.joint(x=dist.Normal(1.0, 0.5)), process)
    t, x = 0.4, 0.3
    variance = 0.6**2 * 0.25 + 0.4**2
    np.testing.assert_allclose(family.score(x, t), -(x - 0.6) / variance, rtol=1e-12)
    np.testing.assert_allclose(family.denoise(x, t), 1.0 + 0.6 * 0.25 / variance * (x - 0.6), rtol=1e-12)
    end = family.at(process.t_max)
    found = gm.log_likelihood(family, 0.2, prior=end, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found, dist.Normal(1.0, 0.5).log_prob(0.2), atol=1e-5)
    for generator in (
        gm.ReverseODE(gm.Heun(), steps=60), gm.ReverseODE(gm.DPMSolver(), steps=60),
        gm.ReverseSDE(steps=400), gm.DDPM(steps=400),
    ):  # fmt: skip
        tree = gm.sample(family, generator, draws=8000, init=end, progress=False)
        draws = tree["posterior"]["x"].values.ravel()
        assert abs(draws.mean() - 1.0) < 4.0 * 0.5 / np.sqrt(8000) + 0.005, generator
        assert abs(draws.std() / 0.5 - 1.0) < 4.0 / np.sqrt(16_000) + 0.01, generator
    learned = gm.score_model(process, gm.nets.TimeMLP((), width=8, key=jax.random.key(0)), x=gm.Real())
    assert gm.fit(learned, {"x": draws}, gm.DenoisingScoreMatching(), steps=3, progress=False).steps == 3


def test_the_table_of_times_is_a_constant_that_one_program_makes(compilations):
    """Operation by operation it would be more than thirty programs, a second of a first fit."""
    process = gm.VP(beta_max=17.3)
    jaxpr = jax.make_jaxpr(process.time_at)(jnp.asarray(0.5))
    assert len(compilations) <= 5
    assert not {"sort", "exp", "expm1"} & {eqn.primitive.name for eqn in jaxpr.eqns}
