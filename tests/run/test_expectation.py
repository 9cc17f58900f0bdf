import math

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

Y, SIGMA = [28.0, 8, -3, 7, -1, 1, 18, 12], [15.0, 10, 16, 11, 9, 11, 10, 18]


def chain():
    return gm.joint(a=dist.Normal(1.0, 2.0), b=lambda a: dist.Normal(3.0 * a, 1.0), c=lambda a, b: a * b)


def test_what_is_not_read_is_integrated_out_first():
    found = gm.expectation(chain(), lambda v: v["b"] ** 2)
    np.testing.assert_allclose(found.value, 9.0 + 36.0 + 1.0, rtol=1e-10)
    assert found.method == "a: integrated out, linear-Gaussian; quadrature over b"


def test_a_computed_variable_can_be_read():
    found = gm.expectation(chain(), lambda v: v["c"])
    np.testing.assert_allclose(found.value, 3.0 * (1.0 + 4.0), rtol=1e-10)


def test_the_posterior_means_of_eight_schools():
    model = gm.joint(
        mu=dist.Normal(0.0, 10.0),
        log_tau=dist.Normal(5.0, 1.0),
        theta=lambda mu, log_tau: dist.Normal(mu, jnp.exp(log_tau)).expand([8]),
        sigma=gm.data(SIGMA),
        y=lambda theta, sigma: dist.Normal(theta, sigma),
    ).condition(y=Y)
    found = gm.expectation(model, lambda v: jnp.stack([v["mu"], v["log_tau"]]))
    np.testing.assert_allclose(found.value, [5.799044987109628, 2.450571278190489], rtol=1e-8)


def test_a_discrete_model_is_summed():
    coins = gm.joint(k=dist.Bernoulli(0.25).expand([3]), total=lambda k: jnp.sum(k))
    found = gm.expectation(coins, lambda v: jnp.stack([v["total"], v["total"] ** 2]))
    np.testing.assert_allclose(found.value, [0.75, 3 * 0.25 * 0.75 + 0.75**2], rtol=1e-7)
    assert found.method == "sum over k"


def test_a_label_that_is_read_is_summed_beside_the_integral(x64):
    model = gm.joint(k=dist.Categorical(np.array([0.3, 0.7])), x=lambda k: dist.Normal(5.0 * k, 1.0))
    found = gm.expectation(model, lambda v: v["x"] * v["k"])
    np.testing.assert_allclose(found.value, 0.7 * 5.0, rtol=1e-10)
    posterior = gm.expectation(model.condition(x=2.0), lambda v: v["k"])
    odds = 0.7 / 0.3 * np.exp(-0.5 * 9.0 + 0.5 * 4.0)
    np.testing.assert_allclose(posterior.value, odds / (1 + odds), rtol=1e-10)
    nested = gm.joint(k=dist.Categorical(np.array([0.3, 0.7])), x=lambda k: dist.Normal(5.0 * k, 1.0),
                      y=lambda x: dist.Normal(x, 2.0)).condition(y=2.0)  # fmt: skip
    left = gm.expectation(nested, lambda v: v["k"])
    odds = 0.7 / 0.3 * np.exp(-0.1 * 9.0 + 0.1 * 4.0)
    np.testing.assert_allclose(left.value, odds / (1 + odds), rtol=1e-10)
    assert left.method == "x: integrated out, linear-Gaussian; sum over k"


def test_a_histogram_is_averaged_by_counting():
    model = gm.histogram([0.1, 0.2, 0.7], bins=[0.0, 0.5, 1.5])
    found = gm.expectation(model, lambda v: v["x"] ** 2)
    np.testing.assert_allclose(found.value, 2 / 3 * (0.25**2 + 0.25 / 12) + 1 / 3 * (1.0 + 1 / 12), rtol=1e-12)
    assert found.method == "by counting over x"


def test_many_dimensions_are_drawn_with_a_standard_error():
    model = gm.joint(x=dist.LogNormal(0.0, 0.7).expand([7]))
    found = gm.expectation(model, lambda v: v["x"], seed=3)
    z = (found.value - np.exp(0.245)) / found.error
    assert found.method == "10000 independent draws"
    assert np.abs(z).max() < 4.5  # seven z-scores, false alarm 5e-5
    np.testing.assert_allclose(found.error, np.sqrt(np.exp(0.98) - np.exp(0.49)) / 100, rtol=0.15)


def test_a_sampler_gives_a_standard_error_that_knows_of_autocorrelation():
    ring = gm.energy(lambda x: 4.0 * (jnp.linalg.norm(x) - 2.0) ** 2, x=gm.Real(2))
    exact = gm.expectation(ring, lambda v: v["x"] @ v["x"])
    drawn = gm.expectation(ring, lambda v: v["x"] @ v["x"], gm.NUTS(), seed=1, draws=1000, warmup=500)
    assert drawn.method == "4 chains of 1000 draws"
    assert abs(drawn.value - exact.value) < 4.0 * drawn.error
    tree = gm.sample(ring, gm.RandomWalk(), draws=1000, warmup=500, progress=False)
    slow = gm.expectation(tree, lambda v: v["x"][0])
    assert slow.error > 2.0 * np.asarray(tree["posterior"]["x"])[..., 0].std() / np.sqrt(4000)


def test_weighted_particles_keep_their_weights():
    target = gm.energy(lambda x: 0.5 * (x - 1.0) ** 2 / 0.25, x=gm.Real())
    path = gm.temper(target, gm.joint(x=dist.Normal(0.0, 2.0)))
    tree = gm.sample(path, gm.ImportanceSampling(particles=4000), seed=2)
    found = gm.expectation(tree, lambda v: v["x"])
    assert found.method == "4000 weighted particles"
    assert abs(found.value - 1.0) < 4.0 * found.error < 0.2


def test_wrong_names_and_hopeless_models_say_what_to_do():
    ring = gm.energy(lambda x: x @ x, x=gm.Real(6))
    with pytest.raises(gm.SpecError, match="there is no 'y'; the variables are x"):
        gm.expectation(ring, lambda v: v["y"])
    with pytest.raises(gm.SpecError, match=r"more than 3 dimensions.*gm\.NUTS\(\)"):
        gm.expectation(ring, lambda v: v["x"])
    with pytest.raises(gm.SpecError, match=r"Give a sampler, such as gm\.NUTS"):
        gm.expectation(ring, lambda v: v["x"], gm.MonteCarlo())
    with pytest.raises(gm.SpecError, match="a function of the named values"):
        gm.expectation(ring, "x")


def test_a_mean_that_does_not_exist_is_refused_in_words():
    heavy = gm.joint(x=dist.Cauchy(0.0, 1.0))
    for model in (heavy, gm.joint(x=dist.Cauchy(0.0, 1.0).expand([2])), gm.joint(x=dist.Cauchy(0.0, 1.0).expand([7]))):
        with pytest.raises(gm.SpecError, match="does not seem to exist"):
            gm.expectation(model, lambda v: jnp.abs(jnp.ravel(v["x"])[0]))
    with pytest.raises(gm.SpecError, match="does not seem to exist"):
        gm.expectation(heavy, lambda v: jnp.abs(v["x"]), gm.MonteCarlo(20_000))


def test_a_second_moment_of_a_heavy_tail_and_its_siblings():
    second = gm.expectation(gm.joint(x=dist.StudentT(2.1, 0.0, 1.0)), lambda v: jnp.stack([v["x"] ** 2, v["x"]]))
    assert (np.abs(second.value - [21.0, 0.0]) < second.error).all()
    assert second.error[0] < 1e-6
    labelled = gm.joint(k=dist.Bernoulli(0.7), x=lambda k: dist.StudentT(2.1, 0.0, 1.0 + k))
    mixed = gm.expectation(labelled, lambda v: v["x"] ** 2 * v["k"])
    assert abs(mixed.value - 0.7 * 4 * 21.0) < 2 * mixed.error + 1e-5  # 0.7 in single precision


def test_a_rare_event_that_no_draw_has_shown_has_an_error():
    found = gm.expectation(gm.joint(x=dist.Normal(0.0, 1.0).expand([7])), lambda v: v["x"][0] > 4.5)
    assert found.value == 0.0
    assert 3.4e-6 < 2 * found.error < 1e-3


def test_draws_that_cannot_be_trusted_are_called_suspect():
    wells = gm.energy(lambda x: -jnp.logaddexp(-0.5 * (x - 9.0) ** 2, -0.5 * (x + 9.0) ** 2), x=gm.Real())
    apart = gm.expectation(wells, lambda v: v["x"], gm.NUTS(), seed=3, draws=200, warmup=200)
    assert "suspect: the chains disagree" in apart.method
    path = gm.temper(gm.joint(x=dist.Normal(0.0, 3.0)), gm.joint(x=dist.Normal(0.0, 1.0)))
    weighted = gm.expectation(gm.sample(path, gm.ImportanceSampling(2000)), lambda v: v["x"] ** 2)
    assert "suspect" in weighted.method
    assert "heavier tails" in weighted.method


def test_a_discrete_expectation_compiles_once_for_models_of_one_structure(compilations):
    def ring(coupling):
        return gm.energy(lambda s, J: -J * jnp.sum(s * jnp.roll(s, 1)), s=gm.Spin(30), J=gm.data(coupling))

    gm.expectation(ring(0.2), lambda v: v["s"][0] * v["s"][1])
    before = len(compilations)
    found = gm.expectation(ring(0.5), lambda v: v["s"][0] * v["s"][1])
    assert len(compilations) == before
    np.testing.assert_allclose(found.value, np.tanh(0.5), rtol=1e-6)


def test_a_function_of_one_value_at_all_points_is_suspect_and_a_constant_is_not():
    model = gm.joint(x=dist.Normal(0.0, 1.0))
    found = gm.expectation(model, lambda v: 1.0 * ((v["x"] > 0.5) & (v["x"] < 0.5 + 1e-8)))
    assert "suspect: the function has one value at all" in found.method
    assert abs(float(found) - 1e-8 * 0.352065) < found.error < 1e-3
    assert "suspect" not in gm.expectation(model, lambda v: 2.0).method


def test_an_event_of_small_probability_in_the_plane_is_seen():
    def inside(v):
        return 1.0 * ((v["x"] > 0.5) & (v["x"] < 0.51) & (v["y"] > 0.5) & (v["y"] < 0.51))

    found = gm.expectation(gm.joint(x=dist.Normal(0.0, 1.0), y=dist.Normal(0.0, 1.0)), inside)
    exact = (0.5 * (math.erf(0.51 / math.sqrt(2)) - math.erf(0.5 / math.sqrt(2)))) ** 2
    assert abs(float(found) - exact) < found.error < 1e-4 * exact


@pytest.mark.parametrize("function", [lambda x: x**2, lambda x: x[0], lambda x: 1.0 + x])
def test_a_function_of_the_value_itself_is_told_that_it_gets_a_dict(function):
    model = gm.joint(x=dist.Normal(0.0, 1.0))
    with pytest.raises(gm.SpecError, match=r"gets a dict of all values by name.*lambda v: v\['x'\] \*\* 2"):
        gm.expectation(model, function)
