import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats
from scipy.special import logsumexp

import gmdsl as gm

P, MU, SD = np.array([0.2, 0.3, 0.5]), np.array([-2.0, 0.0, 3.0]), np.array([0.5, 1.0, 2.0])


def labelled(count=None):
    """Three components; one label, or one for each of many points."""
    label = dist.Categorical(P) if count is None else dist.Categorical(P).expand([count])
    return gm.joint(m=gm.data(MU), s=gm.data(SD), k=label, x=lambda k, m, s: dist.Normal(m[k], s[k]))


def exact(x):
    return logsumexp(np.log(P) + stats.norm.logpdf(np.asarray(x)[..., None], MU, SD), axis=-1)


def test_a_label_is_summed_out(x64):
    model = labelled().marginalize("k")
    density = gm.compile(model)
    assert density.free == ("x",)
    np.testing.assert_allclose(density.log_density({"x": 0.7}), exact(0.7), rtol=1e-12)
    assert "  k: summed out, 3 states" in density.explain().splitlines()
    assert (model.capabilities().normalized, model.capabilities().drawable) == (True, True)
    draws = np.asarray(model.sample(jax.random.key(0), 20_000)["x"])
    assert abs(draws.mean() - P @ MU) < 4.0 * draws.std() / np.sqrt(20_000)


def test_many_labels_are_summed_out_one_by_one(x64):
    x = np.linspace(-4.0, 6.0, 1000)
    density = gm.compile(labelled(1000).marginalize("k"))
    assert "  k: summed out element by element, 3 states" in density.explain().splitlines()
    np.testing.assert_allclose(density.log_density({"x": x}), exact(x).sum(), rtol=1e-12)


def test_few_labels_give_the_same_together_as_one_by_one(x64):
    coupled = gm.joint(
        k=dist.Categorical(P).expand([4]), m=gm.data(MU), total=lambda k, m: jnp.sum(m[k]),
        x=lambda total: dist.Normal(total, 1.0),
    )  # fmt: skip
    density = gm.compile(coupled.marginalize("k"))
    assert "  k: summed out, 81 states" in density.explain().splitlines()
    states = np.array(list(itertools.product(range(3), repeat=4)))
    truth = logsumexp(np.log(P)[states].sum(1) + stats.norm.logpdf(0.4, MU[states].sum(1)))
    np.testing.assert_allclose(density.log_density({"x": 0.4}), truth, rtol=1e-12)


def test_two_arrays_of_labels_are_summed_out_together(x64):
    model = gm.joint(
        k=dist.Categorical(P).expand([20]),
        b=lambda k: dist.Bernoulli(0.2 + 0.1 * k),
        m=gm.data(MU),
        x=lambda k, b, m: dist.Normal(m[k] + 5.0 * b, 1.0),
    )
    density = gm.compile(model.marginalize("k", "b"))
    assert "  k, b: summed out element by element, 6 states" in density.explain().splitlines()
    x = np.linspace(-4.0, 8.0, 20)
    q = 0.2 + 0.1 * np.arange(3)
    weight = np.concatenate([np.log(P * (1 - q)), np.log(P * q)])
    truth = logsumexp(weight + stats.norm.logpdf(x[:, None], np.concatenate([MU, MU + 5.0])), axis=1).sum()
    np.testing.assert_allclose(density.log_density({"x": x}), truth, rtol=1e-6)


def test_a_chain_of_labels_is_summed_out(x64):
    switch = np.array([[0.9, 0.1], [0.3, 0.7]])
    model = gm.joint(
        t=gm.data(switch),
        a=dist.Categorical(np.array([0.5, 0.5])),
        b=lambda a, t: dist.Categorical(t[a]),
        x=lambda a: dist.Normal(1.0 * a, 1.0),
        y=lambda b: dist.Normal(2.0 * b, 1.0),
    )
    density = gm.compile(model.marginalize("a", "b"))
    states = list(itertools.product(range(2), repeat=2))
    terms = [np.log(0.5 * switch[a, b]) + stats.norm.logpdf(0.3, a) + stats.norm.logpdf(1.1, 2 * b) for a, b in states]
    np.testing.assert_allclose(density.log_density({"x": 0.3, "y": 1.1}), logsumexp(terms), rtol=1e-6)


def test_observations_of_many_labels_stay_apart_for_cross_validation(x64):
    x = np.array([-2.0, 0.5, 3.0])
    model = labelled(3).marginalize("k")
    given = {"m": jnp.asarray(MU), "s": jnp.asarray(SD)}
    np.testing.assert_allclose(model.factors[0].pointwise({**given, "x": x})["x"], exact(x), rtol=1e-12)
    single = labelled().marginalize("k").factors[0].pointwise({**given, "x": 0.5})["x"]
    np.testing.assert_allclose(single, exact(0.5), rtol=1e-12)


def test_hidden_units_of_an_energy_give_the_free_energy(x64):
    weights = np.random.default_rng(0).normal(size=(3, 4))
    machine = gm.energy(lambda v, h, W: -v @ W @ h, v=gm.Binary(3), h=gm.Spin(4), W=gm.data(weights))
    model = machine.marginalize("h")
    assert not model.capabilities().normalized
    v = np.array([1, 0, 1])
    truth = np.log(2.0 * np.cosh(v @ weights)).sum()
    np.testing.assert_allclose(gm.compile(model).log_density({"v": v}), truth, rtol=1e-12)


def test_too_many_states_whose_elements_mix_are_refused_with_the_numbers():
    mixed = gm.joint(k=dist.Bernoulli(0.5).expand([30]), x=lambda k: dist.Normal(k.sum(), 1.0))
    with pytest.raises(gm.SpecError, match=r"k have 2\^30 joint states, more than 4096 .elements that stay apart"):
        mixed.marginalize("k")
    with pytest.raises(gm.SpecError, match="n in .* has infinitely many values"):
        gm.joint(n=dist.Poisson(3.0), x=lambda n: dist.Normal(n, 1.0)).marginalize("n")


def test_labels_of_more_data_than_floats_count_are_refused_in_the_same_words(x64):
    joined = gm.joint(k=dist.Bernoulli(0.5).expand([20_000]), x=lambda k: dist.Normal(jnp.sort(k).sum(), 1.0))
    with pytest.raises(gm.SpecError, match=r"k have 2\^20000 joint states"):
        joined.marginalize("k")
    joined = gm.joint(k=dist.Categorical(P).expand([700]), x=lambda k: dist.Normal(jnp.prod(1.0 * k), 1.0))
    with pytest.raises(gm.SpecError, match=r"a term joins 700 elements, 9.6e\+333 states"):
        joined.marginalize("k")


CENTRES, MIXED = np.array([[0.0, 1.0], [2.0, -1.0], [-2.0, 0.5]]), np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
KNOWN = {"m": gm.data(CENTRES), "s": gm.data(SD), "p": gm.data(MIXED)}
VECTORS = [  # a child that is a vector, its value, and the log-density of each datum under each label
    (
        lambda m, z: dist.MultivariateNormal(m[z], jnp.array([[1.0, 0.3], [0.3, 2.0]])),
        lambda rng, n: rng.normal(size=(n, 2)),
        lambda y, k: stats.multivariate_normal(CENTRES[k], [[1.0, 0.3], [0.3, 2.0]]).logpdf(y),
    ),
    (
        lambda s, z: dist.MultivariateNormal(jnp.zeros(2), scale_tril=s[z][:, None, None] * jnp.eye(2)),
        lambda rng, n: rng.normal(size=(n, 2)),
        lambda y, k: stats.multivariate_normal(np.zeros(2), SD[k] ** 2 * np.eye(2)).logpdf(y),
    ),
    (
        lambda p, z: dist.Dirichlet(5.0 * p[z]),
        lambda rng, n: rng.dirichlet([1.0, 1.0], size=n),
        lambda y, k: stats.beta(5.0 * MIXED[k, 0], 5.0 * MIXED[k, 1]).logpdf(y[:, 0]),
    ),
    (
        lambda p, z: dist.Multinomial(4, p[z]),
        lambda rng, n: rng.multinomial(4, [0.5, 0.5], size=n),
        lambda y, k: stats.binom(4, MIXED[k, 0]).logpmf(y[:, 0]),
    ),
]


@pytest.mark.parametrize(("child", "drawn", "truth"), VECTORS, ids=["mean", "covariance", "shares", "counts"])
@pytest.mark.parametrize("count", [20, 700])
def test_a_label_per_datum_of_vectors_is_summed_out_one_by_one(x64, child, drawn, truth, count):
    y = drawn(np.random.default_rng(0), count)
    model = gm.joint(**KNOWN, z=dist.Categorical(P).expand([count]), y=child).marginalize("z")
    terms = np.stack([np.log(P[k]) + truth(y, k) for k in range(3)])
    np.testing.assert_allclose(gm.compile(model).log_density({"y": y}), logsumexp(terms, axis=0).sum(), rtol=1e-9)


def test_a_label_per_datum_of_many_replicas_of_a_vector_is_summed_out_one_by_one(x64):
    y = np.random.default_rng(1).normal(size=(4, 20, 2))
    child = lambda m, z: dist.MultivariateNormal(m[z], jnp.eye(2)).expand([4, 20])  # noqa: E731
    model = gm.joint(**KNOWN, z=dist.Categorical(P).expand([20]), y=child).marginalize("z")
    terms = [np.log(P[k]) + stats.multivariate_normal(CENTRES[k], np.eye(2)).logpdf(y).sum(0) for k in range(3)]
    np.testing.assert_allclose(gm.compile(model).log_density({"y": y}), logsumexp(terms, axis=0).sum(), rtol=1e-9)


DEGENERATE = {  # a parameter that some label puts on the border, and data that only the other label explains
    "rate": (lambda z, r: dist.Poisson(z * r), [0, 3, 0, 1]),
    "probability zero": (lambda z, r: dist.Binomial(5, z * r / 2.0), [0, 3, 0, 1]),
    "probability one": (lambda z, r: dist.Binomial(5, 1.0 - z * r / 2.0), [5, 3, 5, 1]),
    "logits": (lambda z, r: dist.Binomial(5, logits=jnp.log(z * r)), [0, 3, 0, 1]),
    "scale": (lambda z, r: dist.Normal(0.0, z * r), [0.1, 3.0, 0.5, 1.0]),
    "log-normal": (lambda z, r: dist.LogNormal(0.0, z * r), [0.1, 3.0, 0.5, 1.0]),
    "concentration": (lambda z, r: dist.Gamma(z * r, 2.0), [0.1, 3.0, 0.5, 1.0]),
    "range": (lambda z, r: dist.Uniform(0.0, 4.0 * z * r), [0.1, 3.0, 0.5, 1.0]),
    "counts": (lambda z, r: dist.NegativeBinomial2(z * r, 2.0), [0, 3, 0, 1]),
}


@pytest.mark.parametrize("family", DEGENERATE)
@pytest.mark.parametrize("apart", [True, False])
def test_a_label_without_mass_adds_nothing_to_the_score(x64, family, apart):
    child, y = DEGENERATE[family]
    label = dist.Bernoulli(0.4).expand([4]) if apart else dist.Bernoulli(0.4)
    whole = child if apart else lambda z, r: child(z, r).expand([4])
    density = gm.compile(gm.joint(r=dist.HalfNormal(1.0), z=label, y=whole).marginalize("z").condition(y=y))
    value, score = density.log_density_and_score({"r": 0.9})
    ahead, behind = (density.log_density({"r": 0.9 + step}) for step in (1e-6, -1e-6))
    assert np.isfinite(value)
    np.testing.assert_allclose(score["r"], (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-8)


def test_nuts_samples_the_rest():
    model = gm.joint(
        mu=dist.Normal(0.0, 3.0),
        k=dist.Bernoulli(0.5).expand([40]),
        x=lambda mu, k: dist.Normal(mu + 10.0 * k, 1.0),
    )
    x = np.concatenate([np.full(20, 1.0), np.full(20, 11.0)])
    posterior = model.marginalize("k").condition(x=x)
    draws = gm.sample(posterior, gm.NUTS(), chains=2, draws=500, warmup=500, seed=0, progress=False)["posterior"]["mu"]
    precision = 40.0 + 1.0 / 9.0
    assert abs(float(draws.mean()) - 40.0 / precision) < 5.0 / np.sqrt(precision * 300)
