import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diffusion.variational_bound import data_constant, level_times, level_weights, noise_left, prior_term

MEAN, VARIANCE = 0.4, 0.25
PROCESSES = [gm.VP(), gm.Rectified(), gm.Brownian(3.0), gm.SubVP()]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)


def gaussian(process):
    return gm.noise(gm.joint(x=dist.Normal(MEAN, VARIANCE**0.5)), process)


class Levels:
    """Signal and variance of the noise at given times, and what follows by hand for data N(0.4, 0.25), in NumPy."""

    def __init__(self, process, times):
        times = jnp.asarray(times)
        self.alpha = np.asarray(process.alpha(times), float)
        self.noise = np.asarray(process.sigma(times), float) ** 2
        self.total = self.alpha**2 * VARIANCE + self.noise
        self.slope = self.alpha * VARIANCE / self.total  # D = slope x_t + shift
        self.shift = MEAN - self.slope * self.alpha * MEAN
        self.scale = float(process.prior_scale)
        before = self.noise[:-1]
        step = self.alpha[1:] / self.alpha[:-1]
        added = self.noise[1:] - step**2 * before
        self.noisy = step * before / self.noise[1:]
        self.clean = self.alpha[:-1] * added / self.noise[1:]
        self.left = before * added / self.noise[1:]  # variance of the bridge


def normal_kl(mean, variance, other_mean, other_variance):
    ratio = variance / other_variance
    return 0.5 * (ratio - 1.0 - np.log(ratio) + (mean - other_mean) ** 2 / other_variance)


def closed_terms(levels, x_0):
    """L_T, and L_0 with all L_t, of one datum, as expected divergences between Gaussians: q(x_t | x_0) is integrated
    in closed form, as means are affine in x_t. By bridges, not by the form in SNR."""
    prior = normal_kl(levels.alpha[-1] * x_0, levels.noise[-1], 0.0, levels.scale**2)
    bias = levels.slope * levels.alpha * x_0 + levels.shift - x_0  # D - x_0 = bias + slope sigma eps
    squared = bias**2 + levels.slope**2 * levels.noise
    spread = levels.noise[0] / levels.alpha[0] ** 2
    first = 0.5 * np.log(2 * np.pi * spread) + squared[0] / (2 * spread)
    return prior, np.append(first, levels.clean**2 * squared[1:] / (2 * levels.left))


def model_law(levels):
    """Mean and variance of the data that the way back in these steps draws: a chain of affine Gaussians."""
    mean, variance = 0.0, levels.scale**2
    for k in range(len(levels.alpha) - 1, 0, -1):
        factor = levels.noisy[k - 1] + levels.clean[k - 1] * levels.slope[k]
        mean = factor * mean + levels.clean[k - 1] * levels.shift[k]
        variance = factor**2 * variance + levels.left[k - 1]
    slope = levels.slope[0]
    return slope * mean + levels.shift[0], slope**2 * variance + levels.noise[0] / levels.alpha[0] ** 2


def normal_log(x, mean, variance):
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


@each_process
def test_every_term_is_the_expected_divergence_of_the_gaussians(process, x64):
    """800 draws per term against the closed form of the bridges: |z| < 4.5 each; the sum is the bound."""
    x = np.array([0.1, 1.2])
    found = gm.variational_bound(gaussian(process), x, steps=12, draws=800)
    for row, x_0 in enumerate(x):
        prior, terms = closed_terms(Levels(process, found.times), x_0)
        np.testing.assert_allclose(found.prior[row], prior, rtol=1e-9, atol=1e-12)
        wanted = np.append(terms[0], terms[1:])
        ours = np.append(found.data[row], found.steps[row])
        # a squared Gaussian's relative spread is below sqrt(2); constants of L_0 are exact
        scale = np.append(terms[0] - data_constant(process, found.times[0], 1), terms[1:])
        assert (np.abs(ours - wanted) < 4.5 * np.sqrt(2 / 800) * scale + 1e-12).all()
        total = -(found.prior[row] + found.data[row] + found.steps[row].sum())
        np.testing.assert_allclose(found.log_likelihood[row], total, rtol=1e-12)
        exact = -(prior + terms.sum())
        assert abs(found.log_likelihood[row] - exact) < 4.5 * found.standard_error[row]
        np.testing.assert_allclose(found.bits_per_dim[row], -total / np.log(2.0))


@each_process
def test_the_bound_lies_below_and_rises_to_the_exact_log_likelihood(process, x64):
    """In closed form. For each datum it is below the log-density of what the steps draw; in the mean over the data,
    below minus the entropy; with four times the steps the gap falls to a quarter, down to that of the last Gaussian."""
    entropy = 0.5 * np.log(2 * np.pi * np.e * VARIANCE)
    gaps = []
    for steps in (50, 200, 800, 3200):
        levels = Levels(process, level_times(process, steps))
        end = normal_kl(levels.alpha[-1] * MEAN, levels.total[-1], 0.0, levels.scale**2)
        mean, variance = model_law(levels)
        for x_0 in (-0.5, 0.4, 1.7):
            prior, terms = closed_terms(levels, x_0)
            assert -(prior + terms.sum()) < normal_log(x_0, mean, variance)
        pair = [closed_terms(levels, MEAN + s * VARIANCE**0.5) for s in (-1.0, 1.0)]  # terms are squares: exact
        bound = -np.mean([prior + terms.sum() for prior, terms in pair])
        expected = -0.5 * np.log(2 * np.pi * variance) - 0.5 * ((mean - MEAN) ** 2 + VARIANCE) / variance
        assert bound < expected < -entropy
        gaps.append(-entropy - bound - end)
    ratios = np.array(gaps[:-1]) / gaps[1:]
    assert ratios[1] > 3.0
    assert gaps[-1] < 0.05


def test_the_noise_that_is_left_has_mean_zero_and_is_all_that_varies_for_a_datum_at_the_mean(x64):
    """Gaussian data and their exact denoiser, x_0 at the mean: the squared error less the control is its own mean."""
    process, noise = gm.VP(), jax.random.normal(jax.random.key(0), (50, 3))
    for t in (0.01, 0.3, 1.0):
        level = Levels(process, [t])
        gap = level.slope[0] * np.sqrt(level.noise[0]) * noise  # D - x_0
        left = jax.vmap(lambda e, t=t: noise_left(process, e, t, VARIANCE))(noise)
        rest = 0.5 * jnp.sum(gap**2, axis=1) - left
        np.testing.assert_allclose(rest, 1.5 * level.slope[0] ** 2 * level.noise[0], rtol=1e-6)
    points = jnp.array([[-1.0], [1.0]])  # two draws of squared length one: the mean of the control is zero
    assert float(sum(noise_left(process, e, 0.3, 1.0) for e in points)) == pytest.approx(0.0, abs=1e-12)


def test_the_weights_of_levels_are_those_of_the_bridges(x64):
    process = gm.VP()
    times = level_times(process, 20)
    weights = np.asarray(level_weights(process, times))
    for k in range(1, 20):
        bridge = process.bridge(times[k - 1], times[k])
        np.testing.assert_allclose(weights[k], bridge.clean**2 / bridge.std**2, rtol=1e-6)
    np.testing.assert_allclose(weights[0], (process.alpha(times[0]) / process.sigma(times[0])) ** 2)
    np.testing.assert_allclose(times[jnp.array([0, -1])], [process.t_min, process.t_max])
    assert float(level_times(gm.Rectified(), 5)[-1]) == 1.0
    np.testing.assert_allclose(prior_term(gm.Rectified(), jnp.array([3.0, 4.0])), 0.0, atol=1e-12)  # nothing is left


def test_the_bound_of_a_mixture_is_near_its_log_likelihood_and_below_it():
    """2000 draws of two modes, 1000 levels: the mean bound is below the mean log-density, by less than 0.1 nats."""
    parts = dist.Normal(jnp.array([-1.2, 0.9]), jnp.array([0.4, 0.55]))
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.35, 0.65])), parts))
    family = gm.noise(model, gm.VP())
    x = model.sample(jax.random.key(0), 2000)["x"]
    found = gm.variational_bound(family, x, steps=1000, draws=2)
    truth = np.asarray(jax.vmap(lambda x: family.log_density(x, 0.0))(x), float)
    error = np.sqrt(np.sum(found.standard_error**2)) / 2000
    gap = np.mean(truth - found.log_likelihood)
    assert -4.5 * error < gap < 0.1
    assert error < 0.004
    coarse = gm.variational_bound(family, x, steps=30, draws=2)
    assert np.mean(coarse.log_likelihood) < np.mean(found.log_likelihood) - 0.5


def test_variables_inputs_and_single_data():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=dist.Normal(jnp.zeros(2), 0.5))
    family = gm.noise(model, gm.VP())
    data = {"b": np.array([[0.1, 0.2], [0.3, -0.4]]), "a": np.array([0.5, -0.5])}
    both = gm.variational_bound(family, data, steps=20)
    one = gm.variational_bound(family, {name: values[0] for name, values in data.items()}, steps=20)
    assert both.log_likelihood.shape == (2,)
    assert one.steps.shape == (19,)
    np.testing.assert_allclose(one.prior, both.prior[0], rtol=1e-6)
    again = gm.variational_bound(family, data, steps=20)
    np.testing.assert_array_equal(again.log_likelihood, both.log_likelihood)
    other = gm.variational_bound(family, data, steps=20, seed=1)
    assert (other.log_likelihood != both.log_likelihood).all()


def test_what_has_no_bound_is_named():
    family = gaussian(gm.VP())
    with pytest.raises(gm.SpecError, match=r"variational_bound\(steps=1\): a whole number of at least 2"):
        gm.variational_bound(family, 0.1, steps=1)
    with pytest.raises(gm.SpecError, match=r"variational_bound\(draws=0\)"):
        gm.variational_bound(family, 0.1, draws=0)
    with pytest.raises(gm.SpecError, match="data for y, but the variables are x"):
        gm.variational_bound(family, {"y": 0.1})
    with pytest.raises(gm.SpecError, match=r"variational_bound\(x\): shape \(2, 2\)"):
        gm.variational_bound(family, np.zeros((2, 2)))
    network = gm.nets.TimeMLP(2, width=4, condition=gm.Real(), key=jax.random.key(0))
    open_family = gm.score_model(gm.VP(), network, x=gm.Real(2), c=gm.input(gm.Real()))
    with pytest.raises(gm.SpecError, match="the score depends on the input c"):
        gm.variational_bound(open_family, np.zeros(2))


def test_what_has_no_bound_is_refused():
    model = gm.joint(x=dist.Normal(0.0, 1.0))
    with pytest.raises(gm.SpecError, match="noise it first"):
        gm.variational_bound(model, [0.0])
    with pytest.raises(gm.SpecError, match="not NoneType"):
        gm.variational_bound(None, [0.0])
    with pytest.raises(gm.SpecError, match="is not finite"):
        gm.variational_bound(gm.noise(model, gm.VP()), [0.0, np.inf])
