"""Programs of public threads (repository and number in each name), against closed forms, SciPy and NumPyro.

The programs are written anew for gmdsl; each test is named after the thread that reported the trouble elsewhere.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats
from numpyro.distributions import constraints, transforms

import gmdsl as gm

pytestmark = [
    pytest.mark.usefixtures("x64"),
    pytest.mark.filterwarnings("ignore::gmdsl.core.errors.CaptureWarning"),  # arrays in functions, as people write them
]


def run(model, sampler=None, **settings):
    chosen = {"draws": 1000, "warmup": 500, "progress": False, **settings}
    return gm.sample(model, gm.NUTS() if sampler is None else sampler, **chosen)


def slope(density, point, name, step=1e-6):
    up, down = ({**point, name: point[name] + sign * step} for sign in (1, -1))
    return (density.log_density(up) - density.log_density(down)) / (2 * step)


# Densities and scores


def test_numpyro_2224_a_zero_weight_leaves_the_score_finite():
    weights = dist.Categorical(probs=jnp.array([0.0, 0.5, 0.5]))
    model = gm.joint(
        mu=dist.Normal(0.0, 1.0).expand([3]), y=lambda mu: dist.MixtureSameFamily(weights, dist.Normal(mu, 1.0))
    )
    density, mu = gm.compile(model.condition(y=0.3)), np.array([0.0, 1.0, 2.0])
    terms = stats.norm.pdf(0.3, mu[1:], 1.0)
    right = -mu + np.concatenate([[0.0], terms / terms.sum() * (0.3 - mu[1:])])
    np.testing.assert_allclose(density.score({"mu": mu})["mu"], right, rtol=1e-10)


def test_numpyro_2088_a_beta_at_its_closed_end():
    model = gm.joint(b=dist.HalfNormal(1.0), y=lambda b: dist.Beta(1.0, 8.0 * b)).condition(y=0.0)
    value = gm.compile(model).log_density({"b": 1.0})
    np.testing.assert_allclose(value, np.log(8.0) + stats.halfnorm.logpdf(1.0), rtol=1e-10)


def test_numpyro_1489_unnormalised_logits_of_a_mixture():
    parts = dist.Normal(jnp.zeros(2), 1.0)
    model = gm.joint(y=dist.MixtureSameFamily(dist.Categorical(logits=jnp.ones(2)), parts))
    np.testing.assert_allclose(gm.compile(model).log_density({"y": 0.0}), stats.norm.logpdf(0.0), rtol=1e-10)


def test_numpyro_2276_a_category_of_probability_zero_is_summed_out():
    means_, probabilities = jnp.array([0.0, 1.0, 2.0]), jnp.array([0.25, 0.0, 0.75])
    model = gm.joint(
        w=dist.Normal(0.0, 1.0),
        k=dist.Categorical(probabilities),
        y=lambda k, w: dist.Normal(w * means_[k], 1.0),
    )
    density = gm.compile(model.condition(y=0.5).marginalize("k"))
    right = stats.norm.logpdf(1.0) + np.log(probabilities @ stats.norm.pdf(0.5, np.arange(3.0), 1.0))
    np.testing.assert_allclose(density.log_density({"w": 1.0}), right, rtol=1e-10)
    np.testing.assert_allclose(density.score({"w": 1.0})["w"], slope(density, {"w": 1.0}, "w"), rtol=1e-6)


@pytest.mark.parametrize("number", ["awslabs/gluonts#1056", "tensorflow/probability#1377"])
def test_a_part_of_a_mixture_without_mass_at_the_data(number):
    def mixed(mu, a):
        weights = dist.Categorical(probs=jnp.array([0.5, 0.5]))
        return dist.MixtureGeneral(weights, [dist.Normal(mu, 2.0), dist.Gamma(a, 2.0)], support=constraints.real)

    model = gm.joint(mu=dist.Normal(0.0, 1.0), a=dist.HalfNormal(1.0), y=mixed).condition(y=-1.0)
    density, point = gm.compile(model), {"mu": 0.2, "a": 0.9}
    right = stats.norm.logpdf(0.2) + stats.halfnorm.logpdf(0.9) + np.log(0.5) + stats.norm.logpdf(-1.0, 0.2, 2.0)
    np.testing.assert_allclose(density.log_density(point), right, rtol=1e-10)
    for name in point:
        np.testing.assert_allclose(density.score(point)[name], slope(density, point, name), rtol=1e-6)


def test_pymc_4417_the_score_of_a_truncated_exponential():
    x = np.random.default_rng(0).exponential(3.0, 500)
    x = x[(x > 1.0) & (x < 20.0)]
    law = lambda mu: gm.truncated(dist.Exponential(1.0 / mu), low=1.0, high=20.0).expand([len(x)])  # noqa: E731
    density = gm.compile(gm.joint(mu=dist.Exponential(0.2), x=law).condition(x=x))
    right = np.log(0.2) - 0.6 + stats.truncexpon(b=19.0 / 3.0, loc=1.0, scale=3.0).logpdf(x).sum()
    np.testing.assert_allclose(density.log_density({"mu": 3.0}), right, rtol=1e-10)
    np.testing.assert_allclose(density.score({"mu": 3.0})["mu"], slope(density, {"mu": 3.0}, "mu"), rtol=1e-6)


def test_tensorflow_probability_518_a_truncated_normal_far_from_its_mean():
    law = lambda mu: gm.truncated(dist.Normal(mu, 1e-2), low=0.0, high=1.0)  # noqa: E731
    density = gm.compile(gm.joint(mu=dist.Normal(0.0, 1.0), x=law).condition(x=0.5))
    right = stats.norm.logpdf(2.0) + stats.truncnorm(-200.0, -100.0, 2.0, 0.01).logpdf(0.5)
    np.testing.assert_allclose(density.log_density({"mu": 2.0}), right, rtol=1e-8)
    np.testing.assert_allclose(density.score({"mu": 2.0})["mu"], slope(density, {"mu": 2.0}, "mu"), rtol=1e-5)


def test_distributionsad_223_the_score_of_a_scale_above_an_open_end():
    model = gm.joint(s=dist.HalfNormal(1.0), x=lambda s: gm.truncated(dist.Normal(0.0, s), low=0.0)).condition(x=1.0)
    np.testing.assert_allclose(gm.compile(model).score({"s": 1.5})["s"], -1.5 - 1 / 1.5 + 1 / 1.5**3, rtol=1e-10)


@pytest.mark.parametrize(
    "law",
    [
        dist.LogNormal(0.0, 1.0),
        dist.Beta(2.0, 2.0),
        dist.Gamma(0.5, 1.0),
        dist.Pareto(1.0, 2.0),
        dist.Uniform(0.0, 1.0),
        dist.TransformedDistribution(dist.Normal(0.0, 1.0), transforms.ExpTransform()),
        gm.truncated(dist.Normal(0.0, 1.0), low=0.0),
    ],
)
def test_flowjax_74_outside_of_its_support_a_density_is_zero(law):
    assert gm.compile(gm.joint(x=law)).log_density({"x": -1.0}) == -np.inf


def test_pymc_marketing_2919_one_value_counts_as_one_of_many():
    law = lambda a, n: dist.BetaBinomial(a, 2.0, 10).expand([n])  # noqa: E731
    one = stats.betabinom(10, 1.3, 2.0).logpmf(4)
    for n in (1, 2, 5):
        model = gm.joint(a=dist.HalfNormal(1.0), x=lambda a, n=n: law(a, n)).condition(x=np.full(n, 4))
        value = gm.compile(model).log_density({"a": 1.3}) - stats.halfnorm.logpdf(1.3)
        np.testing.assert_allclose(value, n * one, rtol=1e-6)  # of JAX's betaln


def test_pymc_6380_rows_are_looked_up_along_two_axes():
    first, second, y = np.repeat(np.arange(2), [1, 2]), np.repeat(np.arange(3), [1, 2, 1]), np.zeros((1, 3, 4))
    law = lambda mu: dist.Normal(mu[:, first, :][:, :, second], 1.0)  # noqa: E731
    model = gm.joint(mu=dist.Normal(0.0, 1.0).expand([1, 2, 3]), y=law).condition(y=y)
    mu = np.random.default_rng(1).normal(size=(1, 2, 3))
    right = stats.norm.logpdf(mu).sum() + stats.norm.logpdf(y, mu[:, first, :][:, :, second]).sum()
    np.testing.assert_allclose(gm.compile(model).log_density({"mu": mu}), right, rtol=1e-10)


def test_numpyro_1565_a_multivariate_t_by_its_factor():
    covariance, y = np.array([[1.0, 0.5], [0.5, 2.0]]), np.array([1.0, 2.0])
    model = gm.joint(y=dist.MultivariateStudentT(4.0, jnp.zeros(2), jnp.linalg.cholesky(covariance)))
    right = stats.multivariate_t(np.zeros(2), covariance, df=4).logpdf(y)
    np.testing.assert_allclose(gm.compile(model).log_density({"y": y}), right, rtol=1e-9)


def test_numpyro_1433_a_factor_given_as_a_covariance_is_refused():
    factor = jnp.array([[1.0, 0.0], [0.5, 1.3]])
    with pytest.raises(gm.SpecError, match="covariance_matrix was declared PositiveDefinite"):
        gm.joint(y=lambda: dist.MultivariateNormal(jnp.zeros(2), factor))


def test_pymc_4010_walks_side_by_side():
    model = gm.joint(g=dist.GaussianRandomWalk(1.0, 4).expand([3]))
    g = np.random.default_rng(0).normal(size=(3, 4))
    right = stats.norm.logpdf(np.diff(g, axis=1, prepend=0.0)).sum()
    np.testing.assert_allclose(gm.compile(model).log_density({"g": g}), right, rtol=1e-10)


def test_keras_extensions_15_the_free_energy_of_a_gaussian_boltzmann_machine():
    weights, b, c = np.array([[0.5, -1.0], [0.3, 0.8]]), np.array([0.1, -0.2]), np.array([0.3, 0.4])
    energy = lambda v, h: jnp.sum((v - b) ** 2) / 2 - h @ c - v @ weights @ h  # noqa: E731
    density = gm.compile(gm.energy(energy, v=gm.Real(2), h=gm.Binary(2)).marginalize("h"))
    v = np.array([0.7, -0.4])
    pull = c + v @ weights
    np.testing.assert_allclose(
        density.log_density({"v": v}), -np.sum((v - b) ** 2) / 2 + np.logaddexp(0.0, pull).sum(), rtol=1e-10
    )
    np.testing.assert_allclose(density.score({"v": v})["v"], -(v - b) + weights @ (1 / (1 + np.exp(-pull))), rtol=1e-10)


# Models that are refused, or said


@pytest.mark.parametrize("number", ["pymc-devs/pymc#6406", "pymc-devs/pymc#1094"])
def test_observations_of_another_shape_are_refused(number):
    model = gm.joint(x=dist.Normal(0.0, 1.0).expand([3]))
    with pytest.raises(gm.SpecError, match=r"condition\(x=...\): shape \(4,\), but x was declared \(3,\)"):
        model.condition(x=[2.0, 3.0, 4.0, 5.0])


@pytest.mark.parametrize(
    ("law", "labels"),
    [
        (lambda c: dist.OrderedLogistic(jnp.zeros(3), c), [1, 2, 3]),
        (lambda c: dist.Categorical(jax.nn.softmax(jnp.concatenate([c, jnp.zeros(1)]))).expand([3]), [1, 2, 3]),
        (lambda c: dist.Bernoulli(logits=c[0]).expand([3]), [1, 2, 1]),
        (lambda c: dist.Bernoulli(logits=c[0]).expand([3]), [1, -1, 1]),
    ],
)
def test_brms_1454_labels_from_one_are_refused(law, labels):
    c = dist.TransformedDistribution(dist.Normal(0.0, 10.0).expand([2]), transforms.OrderedTransform())
    with pytest.raises(gm.SpecError, match=r"condition\(y=...\): .* lies outside the support"):
        gm.joint(c=c, y=law).condition(y=labels)


def test_posteriors_41_an_energy_of_two_values_is_refused():
    with pytest.raises(gm.SpecError, match="an energy is one number, but it gave tuple"):
        gm.energy(lambda x: (x**2 / 2, {"aux": 1.0}), x=gm.Real())


def test_pymc_7041_a_score_that_is_not_a_number_stops_the_start():
    model = gm.energy(lambda x: x**2 / 2 + 0.0 * jnp.sqrt(x * 0.0), x=gm.Real())
    with pytest.raises(gm.StartError, match="gradient NOT finite"):
        run(model)


def test_aehmc_75_a_density_of_huge_numbers_is_told():
    model = gm.energy(lambda x: 1e20 * (x - 1.0) ** 2 / 8.0, x=gm.Real())
    tree = run(model, gm.HMC(steps=5, step_size=1.0), draws=100, warmup=0, init={"x": 100.0})
    assert gm.check(tree, model).status == "failed"


def test_blackjax_969_steps_out_of_the_support_are_counted():
    model = gm.energy(lambda x: jnp.sum(x - jnp.log(x)), x=gm.Real(2))
    with pytest.warns(gm.NaNWarning, match="the target is cut there"):
        tree = run(model, gm.MCLMC(), draws=300, warmup=300, init={"x": jnp.ones(2)})
    report = gm.check(tree, model)
    assert report.status != "ok"
    assert report["NaN evaluations"].status == "suspect"
    assert np.isfinite(tree["posterior"]["x"]).all()
