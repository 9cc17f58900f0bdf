"""Labels that set the support of their child, summed out: against SciPy, and by draws."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats
from scipy.special import logsumexp

import gmdsl as gm

pytestmark = pytest.mark.usefixtures("x64")

K = np.array([3, 4, 5, 9, 2])


def slope(function, x):
    return (function(x + 1e-6) - function(x - 1e-6)) / 2e-6


def test_a_number_of_trials_is_summed_out_before_and_after_the_counts_are_observed():
    joint = gm.joint(
        theta=dist.Uniform(0.0, 1.0),
        n=dist.Categorical(jnp.ones(500) / 500),
        k=lambda theta, n: dist.Binomial(n + 1, theta).expand([5]),
    )
    truth = lambda p: logsumexp([stats.binom(n + 1, p).logpmf(K).sum() - np.log(500) for n in range(500)])  # noqa: E731
    hidden = joint.marginalize("n")
    assert hidden.spaces["k"].title == "Categorical(501, 5)"
    for model in (hidden.condition(k=K), joint.condition(k=K).marginalize("n")):
        value, score = gm.compile(model).log_density_and_score({"theta": 0.3})
        np.testing.assert_allclose(value, truth(0.3), rtol=1e-9)
        np.testing.assert_allclose(score["theta"], slope(truth, 0.3), rtol=1e-7)


def mixed(b, x):
    return logsumexp([np.log(0.5) + stats.uniform(0.0, 1.0 + z + b).logpdf(x) for z in (0, 1)])


def test_bounds_that_move_with_other_variables_are_united_at_each_point():
    joint = gm.joint(b=dist.Uniform(0.0, 1.0), z=dist.Bernoulli(0.5), x=lambda z, b: dist.Uniform(0.0, 1.0 + z + b))
    free = gm.compile(joint.marginalize("z"))
    seen = gm.compile(joint.marginalize("z").condition(x=1.7))
    for b in (0.9, 0.5):
        np.testing.assert_allclose(free.log_density({"b": b, "x": 1.7}), mixed(b, 1.7), rtol=1e-10)
        value, score = seen.log_density_and_score({"b": b})
        np.testing.assert_allclose(value, mixed(b, 1.7), rtol=1e-10)
        np.testing.assert_allclose(score["b"], slope(lambda b: mixed(b, 1.7), b), rtol=1e-6)
    assert free.log_density({"b": 0.5, "x": 2.6}) == -jnp.inf


def test_a_child_with_united_bounds_is_sampled_from_end_to_end():
    joint = gm.joint(b=dist.Uniform(0.0, 1.0), z=dist.Bernoulli(0.5), x=lambda z, b: dist.Uniform(0.0, 1.0 + z + b))
    tree = gm.sample(joint.marginalize("z"), gm.NUTS(), chains=2, draws=1500, warmup=500, seed=0, progress=False)
    x, b = np.asarray(tree["posterior"]["x"]), np.asarray(tree["posterior"]["b"])
    assert np.all((x > 0) & (x < 2.0 + b))
    assert x.max() > 2.0
    assert abs(x.mean() - 1.0) < 5.0 * x.std() / np.sqrt(300)


def test_a_label_per_datum_unites_the_bounds_of_each():
    edges = gm.data([0.0, 10.0])
    joint = gm.joint(e=edges, z=dist.Bernoulli(0.5).expand([40]), x=lambda z, e: dist.Pareto(1.0 + e[z], 2.0))
    x = np.where(np.arange(40) % 2, 12.0, 3.0)
    found = gm.compile(joint.marginalize("z").condition(x=x)).log_density({})
    terms = [np.log(0.5) + stats.pareto(2.0, scale=scale).logpdf(x) for scale in (1.0, 11.0)]
    np.testing.assert_allclose(found, logsumexp(terms, axis=0).sum(), rtol=1e-10)


def test_laws_that_are_moved_have_no_mass_and_no_slope_where_a_label_does_not_reach():
    shifted = lambda z, s: dist.TransformedDistribution(  # noqa: E731
        dist.LogNormal(0.0, s), dist.transforms.AffineTransform(2.0 * z, 1.0, domain=dist.constraints.positive)
    )
    model = gm.joint(s=dist.HalfNormal(1.0), z=dist.Bernoulli(0.3), x=shifted).marginalize("z").condition(x=1.2)
    value, score = gm.compile(model).log_density_and_score({"s": 0.8})
    truth = lambda s: stats.halfnorm.logpdf(s) + np.log(0.7) + stats.lognorm(s).logpdf(1.2)  # noqa: E731
    np.testing.assert_allclose(value, truth(0.8), rtol=1e-9)
    np.testing.assert_allclose(score["s"], slope(truth, 0.8), rtol=1e-6)


def test_supports_that_are_no_intervals_are_refused_by_name():
    counts = lambda n, p: dist.Multinomial(n + 1, p, total_count_max=9)  # noqa: E731
    joint = gm.joint(p=dist.Dirichlet(jnp.ones(3)), n=dist.Categorical(jnp.ones(4) / 4), x=counts)
    with pytest.raises(gm.SpecError, match="the bounds of x depend on other variables"):
        joint.marginalize("n")
