import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm
from gmdsl.exact.gaps import missing_factor

pytestmark = pytest.mark.usefixtures("x64")

Y = np.array([1.4, np.nan, -0.3, np.nan, 2.2])
SEEN = ~np.isnan(Y)


def line(count):
    return gm.joint(mu=dist.Normal(0.5, 2.0), y=lambda mu, x: dist.Normal(mu * x, 0.7), x=gm.data(count))


def test_independent_gaps_leave_the_density_of_the_rest():
    x = np.arange(1.0, 6.0)
    whole = gm.compile(line(x).condition(y=Y, missing="marginalise"))
    rest = gm.compile(line(x[SEEN]).condition(y=Y[SEEN]))
    for mu in (-1.3, 0.0, 2.1):
        found, score = whole.log_density_and_score({"mu": mu})
        expected, slope = rest.log_density_and_score({"mu": mu})
        np.testing.assert_allclose(found, expected, rtol=1e-13)
        np.testing.assert_allclose(score["mu"], slope["mu"], rtol=1e-13)


FAMILIES = {
    "lognormal": (lambda a: dist.LogNormal(a, a), [0.4, 1.5, 2.0]),
    "beta": (lambda a: dist.Beta(a, 2.0), [0.2, 0.5, 0.9]),
    "gamma": (lambda a: dist.Gamma(a, a), [0.4, 1.5, 2.0]),
    "pareto": (lambda a: dist.Pareto(a, 2.0), [3.0, 2.5, 9.0]),
    "von mises": (lambda a: dist.VonMises(a, 2.0), [3.0, -2.5, 0.1]),
    "poisson": (lambda a: dist.Poisson(a), [3.0, 0.0, 7.0]),
    "categorical": (lambda a: dist.Categorical(logits=jnp.stack([a, 0.0, -a])), [2.0, 0.0, 1.0]),
    "censored": (lambda a: gm.censored(dist.Normal(a, 1.0), low=0.0), [0.0, 0.4, 2.0]),
    "truncated": (lambda a: gm.truncated(dist.Normal(a, 1.0), 0.2, 4.0), [0.3, 0.4, 2.0]),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("gap", [0, 2])
def test_every_family_drops_its_gaps_and_has_a_finite_score(family, gap):
    make, values = FAMILIES[family]
    model = gm.joint(a=dist.HalfNormal(2.0), y=lambda a, make=make: make(a).expand([3]))
    rest = gm.joint(a=dist.HalfNormal(2.0), y=lambda a, make=make: make(a).expand([2]))
    y = np.array(values)
    y[gap] = np.nan
    found = gm.compile(model.condition(y=y, missing="marginalise")).log_density_and_score({"a": 1.7})
    expected = gm.compile(rest.condition(y=np.delete(y, gap))).log_density_and_score({"a": 1.7})
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    np.testing.assert_allclose(found[1]["a"], expected[1]["a"], rtol=1e-12)


def covariance(size):
    root = np.random.default_rng(5).normal(size=(size, size))
    return root @ root.T + 0.3 * np.eye(size)


@pytest.mark.parametrize("low_rank", [False, True])
def test_a_batch_of_gaussian_vectors_leaves_the_marginal_of_each(low_rank):
    C, mean = covariance(4), np.array([1.0, -2.0, 0.5, 3.0])
    rng = np.random.default_rng(1)
    y = rng.normal(size=(5, 4))
    y[rng.uniform(size=(5, 4)) < 0.4] = np.nan
    y[3] = np.nan  # a whole vector
    factor, diagonal = rng.normal(size=(4, 2)), np.full(4, 0.4)
    if low_rank:
        C = factor @ factor.T + np.diag(diagonal)
        model = gm.joint(
            s=dist.Normal(0.0, 1.0),
            f=gm.data(factor),
            y=lambda s, f: dist.LowRankMultivariateNormal(s * mean_of(), f, jnp.full(4, 0.4)).expand([5]),
        )
    else:
        model = gm.joint(
            s=dist.Normal(0.0, 1.0),
            C=gm.data(C),
            y=lambda s, C: dist.MultivariateNormal(s * mean_of(), covariance_matrix=C).expand([5]),
        )
    density = gm.compile(model.condition(y=y, missing="marginalise"))
    expected = stats.norm.logpdf(1.3)
    for row in y:
        there = ~np.isnan(row)
        if there.any():
            law = stats.multivariate_normal(1.3 * mean[there], C[np.ix_(there, there)])
            expected += law.logpdf(row[there])
    np.testing.assert_allclose(density.log_density({"s": 1.3}), expected, rtol=1e-12)
    h = 1e-6
    slope = (density.log_density({"s": 1.3 + h}) - density.log_density({"s": 1.3 - h})) / (2 * h)
    np.testing.assert_allclose(density.score({"s": 1.3})["s"], slope, rtol=1e-7)


def mean_of():
    return jnp.array([1.0, -2.0, 0.5, 3.0])


def test_elements_of_an_independent_event_are_missing_one_by_one():
    apart = gm.joint(m=dist.Normal(0, 1), y=lambda m: dist.Normal(m, 1.5).expand([5]))
    joined = gm.joint(m=dist.Normal(0, 1), y=lambda m: dist.Normal(m, 1.5).expand([5]).to_event(1))
    both = [
        gm.compile(model.condition(y=Y, missing="marginalize")).log_density({"m": 0.4}) for model in (apart, joined)
    ]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-14)
    expected = stats.norm.logpdf(0.4) + stats.norm(0.4, 1.5).logpdf(Y[SEEN]).sum()
    np.testing.assert_allclose(both[0], expected, rtol=1e-13)


def test_a_mixture_of_gaussians_leaves_the_mixture_of_its_marginals():
    low = gm.joint(y=dist.MultivariateNormal(jnp.zeros(2), jnp.array([[1.0, 0.6], [0.6, 2.0]])))
    high = gm.joint(y=dist.MultivariateNormal(jnp.array([3.0, 1.0]), jnp.eye(2)))
    model = gm.mixture([0.3, 0.7], low, high).condition(y=[np.nan, 1.2], missing="marginalise")
    expected = np.log(0.3 * stats.norm(0.0, np.sqrt(2.0)).pdf(1.2) + 0.7 * stats.norm(1.0, 1.0).pdf(1.2))
    np.testing.assert_allclose(gm.compile(model).log_density({}), expected, rtol=1e-12)


def test_labels_are_summed_out_element_by_element_around_gaps():
    def mixture(count):
        return gm.joint(
            m=dist.Normal(0.0, 2.0).expand([2]),
            k=dist.Categorical(jnp.array([0.3, 0.7])).expand([count]),
            y=lambda m, k: dist.Normal(m[k], 1.0),
        )

    whole = mixture(5).condition(y=Y, missing="marginalise").marginalize("k")
    rest = mixture(3).condition(y=Y[SEEN]).marginalize("k")
    at = {"m": np.array([-1.0, 1.5])}
    np.testing.assert_allclose(gm.compile(whole).log_density(at), gm.compile(rest).log_density(at), rtol=1e-13)


def test_other_patterns_of_gaps_compile_nothing(compilations):
    x = np.arange(1.0, 6.0)
    density = gm.compile(line(x).condition(y=Y, missing="marginalise"))
    density.score({"mu": 0.3})
    before = len(compilations)
    other = np.array([np.nan, 0.1, 0.2, 0.3, np.nan])
    moved = density.with_data(y=other).score({"mu": 0.3})["mu"]
    assert len(compilations) == before
    rest = gm.compile(line(x[1:4]).condition(y=other[1:4]))
    np.testing.assert_allclose(moved, rest.score({"mu": 0.3})["mu"], rtol=1e-13)


def test_gaps_may_come_later_and_traced(x64):
    model = line(np.arange(1.0, 6.0))
    density = gm.compile(model.condition(y=np.zeros(5), missing="marginalise"))
    expected = density.with_data(y=Y).log_density({"mu": 0.2})

    def evidence(y):
        return gm.compile(model.condition(y=y, missing="marginalise")).log_density({"mu": 0.2})

    np.testing.assert_allclose(jax.jit(evidence)(jnp.array(Y)), expected, rtol=1e-13)


def test_products_unify_the_same_gaps():
    known = gm.joint(m=dist.Normal(0, 1), y=lambda m: dist.Normal(m, 1).expand([5])).condition(
        y=Y, missing="marginalise"
    )
    again = gm.joint(n=dist.Normal(0, 1)) * known
    assert again.free == ("n", "m")
    assert missing_factor(again, "y") is not None
    assert missing_factor(again.rename(y="seen"), "seen") is not None
