import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


@pytest.fixture
def density():
    model = gm.joint(
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfCauchy(5.0),
        k=dist.Bernoulli(0.3),
        y=lambda mu, tau, k, s: dist.Normal(mu + k, tau * s),
        s=gm.data([1.0, 2.0]),
    )
    return gm.compile(model.condition(y=[0.5, -0.5]))


POINT = {"mu": 1.0, "tau": 2.0, "k": 1}


def exact(mu, tau, k, y=(0.5, -0.5), s=(1.0, 2.0)):
    prior = stats.norm(0, 5).logpdf(mu) + stats.halfcauchy(scale=5).logpdf(tau) + stats.bernoulli(0.3).logpmf(k)
    return prior + stats.norm(mu + k, tau * np.asarray(s)).logpdf(y).sum()


def test_the_log_density_is_the_sum_of_the_terms_without_jacobian(x64, density):
    density = gm.compile(density.model)
    np.testing.assert_allclose(density.log_density(POINT), exact(1.0, 2.0, 1), rtol=1e-12)
    np.testing.assert_allclose(density.energy(POINT), -exact(1.0, 2.0, 1), rtol=1e-12)


def test_the_score_is_over_the_float_variables(x64, density):
    density = gm.compile(density.model)
    score = density.score(POINT)
    assert set(score) == {"mu", "tau"}
    h = 1e-6
    np.testing.assert_allclose(score["mu"], (exact(1 + h, 2, 1) - exact(1 - h, 2, 1)) / (2 * h), rtol=1e-7)
    np.testing.assert_allclose(score["tau"], (exact(1, 2 + h, 1) - exact(1, 2 - h, 1)) / (2 * h), rtol=1e-7)
    value, same = density.log_density_and_score(POINT)
    np.testing.assert_allclose(value, exact(1.0, 2.0, 1), rtol=1e-12)
    np.testing.assert_array_equal(same["mu"], score["mu"])


def test_jit_vmap_and_grad_work_on_the_methods(density):
    value = density.log_density(POINT)
    np.testing.assert_allclose(jax.jit(density.log_density)(POINT), value, rtol=1e-6)
    mus = jnp.array([0.0, 1.0])
    batch = jax.vmap(lambda mu: density.log_density({**POINT, "mu": mu}))(mus)
    np.testing.assert_allclose(batch[1], value, rtol=1e-6)
    slope = jax.grad(lambda mu: density.log_density({**POINT, "mu": mu}))(1.0)
    np.testing.assert_allclose(slope, density.score(POINT)["mu"], rtol=1e-5)


def test_new_data_of_one_shape_change_the_value_and_compile_nothing(density, compilations):
    point = {"mu": jnp.float32(1.0), "tau": jnp.float32(2.0), "k": jnp.int32(1)}
    density.log_density(point)
    density.with_data(y=[0.0, 1.0]).log_density(point)
    del compilations[:]
    other = density.with_data(y=[3.0, 1.0], s=[2.0, 2.0])
    np.testing.assert_allclose(other.log_density(point), exact(1.0, 2.0, 1, (3.0, 1.0), (2.0, 2.0)), rtol=1e-6)
    assert compilations == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.log_density({"mu": 1.0, "tau": 1.0, "kk": 1}), "there is no 'kk'.*Did you mean 'k'"),
        (lambda d: d.log_density({"mu": 1.0, "tau": 1.0}), "k is missing"),
        (lambda d: d.score(np.zeros(3)), r"score\(ndarray\): values are given by name, as score\(\{'mu': ..."),
        (lambda d: d.score({"mu": np.ones(2), "tau": 1.0, "k": 1}), r"mu has shape \(2,\), but was declared \(\)"),
        (lambda d: d.constrain(np.ones(2)), r"shape \(2,\), but the flat vector has shape \(3,\)"),
        (lambda d: d.with_data(z=1.0), "there is no 'z'; the data and observed values are s, y"),
        (lambda d: d.with_data(s=[1.0]), r"shape \(1,\), but s was declared \(2,\)"),
        (lambda d: gm.compile(lambda x: x), "a model is needed, not function"),
    ],
)
def test_mistakes_at_the_border_are_explained(density, call, message):
    with pytest.raises(gm.SpecError, match=message):
        call(density)


def test_explain_says_what_the_compiler_did(density):
    text = density.explain()
    assert "tau: [1:2] Positive(), support from p(tau)" in text
    assert "p(y | mu, tau, k, s): evaluated at each point" in text
    fixed = gm.compile(gm.joint(a=dist.Normal(0, 1), b=dist.Normal(0, 1)).condition(b=1.0))
    assert "p(b): evaluated once per data" in fixed.explain()


def test_normalisation_and_draws_follow_the_model(density):
    assert not density.normalized
    free = gm.compile(gm.joint(a=dist.Normal(2.0, 0.5)))
    assert free.normalized
    draws = np.asarray(free.sample(jax.random.key(0), 20_000)["a"])
    assert abs(draws.mean() - 2.0) < 4.5 * 0.5 / np.sqrt(20_000)


def test_extended_distributions_are_factors_too(x64):
    mixture = dist.MixtureSameFamily(dist.Categorical(np.array([0.3, 0.7])), dist.Normal(np.array([-1.0, 2.0]), 0.5))
    model = gm.joint(
        m=mixture,
        l=dist.TransformedDistribution(dist.Normal(0.0, 1.0), dist.transforms.AffineTransform(1.0, 3.0)),
        i=dist.Normal(np.zeros(2), 1.0).to_event(1),
        k=dist.Normal(0.0, 1.0).expand([3]).mask(np.array([True, False, True])),
        n=dist.Poisson(3.0),
    )
    value = gm.compile(model).log_density({"m": 0.4, "l": 2.0, "i": [0.1, 0.2], "k": [1.0, 9.0, 2.0], "n": 2})
    parts = np.log(0.3 * stats.norm(-1, 0.5).pdf(0.4) + 0.7 * stats.norm(2, 0.5).pdf(0.4))
    parts += stats.norm(1, 3).logpdf(2.0) + stats.norm.logpdf([0.1, 0.2]).sum() + stats.norm.logpdf([1.0, 2.0]).sum()
    np.testing.assert_allclose(value, parts + stats.poisson(3.0).logpmf(2), rtol=1e-12)


def test_data_that_their_dtype_or_space_cannot_hold_are_refused():
    counts = gm.compile(gm.joint(k=gm.data([1, 2]), x=lambda k: dist.Normal(k.sum(), 1.0)))
    with pytest.raises(gm.SpecError, match="declared int64, which cannot hold them"):
        counts.with_data(k=[0.9, 0.9])
    scale = gm.joint(s=gm.input(gm.Positive()), x=lambda s: dist.Normal(0.0, s)).condition(s=1.0)
    with pytest.raises(gm.SpecError, match="outside the support"):
        gm.compile(scale).with_data(s=-1.0)
    with pytest.raises(gm.SpecError, match="do not fit int32. Enable x64"):
        gm.compile(gm.joint(k=gm.data([3_000_000_000]), x=lambda k: dist.Normal(k[0] / 1e9, 1.0)))


def test_constants_that_compare_equal_but_are_not_the_same_are_kept_apart(x64):
    def value(k):
        model = gm.joint(k=k, x=lambda k: dist.Normal(jnp.copysign(2.0, k), 1.0))
        return float(gm.compile(model).log_density({"x": 2.0}))

    assert value(0.0) > -1.0 > value(-0.0)
