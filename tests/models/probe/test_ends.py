import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
import scipy.stats as st

import gmdsl as gm

AT = 1.3
FINITE = {
    "exponential": (lambda s: dist.Exponential(s), 0.0, np.log(AT), 1 / AT),
    "half normal": (lambda s: dist.HalfNormal(s), 0.0, st.halfnorm(scale=AT).logpdf(0.0), -1 / AT),
    "half Cauchy": (lambda s: dist.HalfCauchy(s), 0.0, np.log(2 / np.pi / AT), -1 / AT),
    "gamma": (lambda s: dist.Gamma(1.0, s), 0.0, np.log(AT), 1 / AT),
    "chi2": (lambda s: dist.Chi2(2.0 + 0.0 * s), 0.0, np.log(0.5), 0.0),
    "Weibull": (lambda s: dist.Weibull(s, 1.0), 0.0, -np.log(AT), -1 / AT),
    "Gompertz": (lambda s: dist.Gompertz(1.0, s), 0.0, np.log(AT), 1 / AT),
    "Pareto": (lambda s: dist.Pareto(1.5, s), 1.5, np.log(AT / 1.5), 1 / AT),
    "integer": (lambda s: dist.Exponential(s), 0, np.log(AT), 1 / AT),
    "event": (lambda s: dist.Exponential(s).expand([2]).to_event(1), [0.0, 2.0], 2 * np.log(AT) - 2 * AT, 2 / AT - 2),
    "mixture": (
        lambda s: dist.MixtureSameFamily(dist.Categorical(jnp.array([0.5, 0.5])), dist.Exponential(s * jnp.ones(2))),
        *(0.0, np.log(AT), 1 / AT),
    ),
    "beta": (lambda s: dist.Beta(1.0, s), 0.0, np.log(AT), 1 / AT),
}


@pytest.mark.parametrize("law", FINITE)
def test_a_value_at_an_end_where_the_density_is_finite_has_it_and_its_slope(law, x64):
    make, y, value, slope = FINITE[law]
    model = gm.joint(s=gm.param(AT, gm.Positive()), y=make)
    posterior = gm.joint(s=dist.LogNormal(0.0, 1.0), y=make).condition(y=y)
    density = gm.compile(posterior)
    prior = dist.LogNormal(0.0, 1.0).log_prob
    np.testing.assert_allclose(density.log_density({"s": AT}) - prior(AT), value, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(density.score({"s": AT})["s"] - jax.grad(prior)(AT), slope, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gm.compile(model.condition(y=y)).log_density({}), value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda s: dist.Gamma(2.0, s), "zero"),
        (lambda s: dist.Gamma(0.5, s), "infinite"),
        (lambda s: dist.Weibull(s, 2.0), "zero"),
        (lambda s: dist.LogNormal(0.0, s), "zero"),
        (lambda s: dist.InverseGamma(2.0, s), "zero"),
        (lambda s: dist.Gamma(s, 1.0), "zero|infinite"),
        (lambda s: dist.Beta(2.0, s), "zero"),
        (lambda s: dist.Beta(0.5, s), "infinite"),
    ],
)
def test_a_density_at_an_end_that_is_zero_or_infinite_is_refused(make, kind):
    model = gm.joint(s=dist.LogNormal(0.0, 1.0), y=make)
    with pytest.raises(gm.SpecError, match=rf"condition\(y=...\): 0 lies at the end .* where the density is ({kind})"):
        model.condition(y=0.0)


def test_values_beyond_the_end_are_refused_as_before():
    with pytest.raises(gm.SpecError, match="-1.0 lies outside the support; y was declared Positive"):
        gm.joint(s=dist.LogNormal(0.0, 1.0), y=lambda s: dist.Exponential(s)).condition(y=-1.0)


def test_a_shape_that_learning_moves_has_no_density_at_the_end():
    model = gm.joint(a=gm.param(1.0, gm.Positive()), y=lambda a: dist.Gamma(a, 1.0))
    with pytest.raises(gm.SpecError, match="the density is infinite"):
        model.condition(y=0.0)


def test_a_label_under_which_the_density_is_zero_leaves_the_others(x64):
    model = gm.joint(k=dist.Bernoulli(0.3), y=lambda k: dist.Gamma(1.0 + k, 2.0)).condition(y=0.0).marginalize("k")
    np.testing.assert_allclose(gm.compile(model).log_density({}), np.log(0.7 * 2.0), rtol=1e-12)


def test_waiting_times_of_zero_are_learned_and_sampled_as_the_conjugate_law_says(x64):
    y = np.array([0.0, 1.0, 0.0, 0.5])
    posterior = gm.joint(s=dist.Gamma(2.0, 1.0), y=lambda s: dist.Exponential(s).expand([4])).condition(y=y)
    draws = gm.sample(posterior, seed=0, chains=4, draws=1000, warmup=500, progress=False)["posterior"]["s"].values
    exact = st.gamma(6.0, scale=1 / 2.5)
    effective = 1000  # far fewer than the draws of one smooth dimension are worth
    assert abs(draws.mean() - exact.mean()) < 4 * exact.std() / np.sqrt(effective)
    one = gm.joint(s=gm.param(2.0, gm.Positive()), y=lambda s: dist.Exponential(s))
    fit = gm.fit(one, {"y": y}, gm.MaximumLikelihood(), optimizer=optax.adam(0.05), steps=1000, progress=False)
    np.testing.assert_allclose(fit.model.params["s"].value, 4 / 1.5, rtol=1e-6)
    np.testing.assert_allclose(gm.log_likelihood(fit.model, {"y": y}), np.log(4 / 1.5) - y * 4 / 1.5, rtol=1e-5)


def test_new_observations_may_lie_at_the_end(x64):
    density = gm.compile(gm.joint(s=gm.param(AT, gm.Positive()), y=lambda s: dist.Exponential(s)).condition(y=1.0))
    np.testing.assert_allclose(density.with_data(y=0.0).log_density({}), np.log(AT), rtol=1e-12)
    gaps = gm.joint(s=gm.param(AT, gm.Positive()), y=lambda s: dist.Exponential(s).expand([3]))
    gaps = gaps.condition(y=[0.0, 1.0, np.nan], missing="marginalise")
    np.testing.assert_allclose(gm.compile(gaps).log_density({}), 2 * np.log(AT) - AT, rtol=1e-12)


MASKED = {
    "gamma": (lambda s, keep: dist.Gamma(s, 2.0).expand([3]), [1.0, -999.0, 2.0]),
    "beta": (lambda s, keep: dist.Beta(s, 2.0).expand([3]), [0.3, -999.0, 0.4]),
    "Poisson": (lambda s, keep: dist.Poisson(s).expand([3]), [1, -1, 2]),
    "categorical": (lambda s, keep: dist.Categorical(logits=jnp.stack([s, 0.0, -s])).expand([3]), [1, 99, 2]),
    "end": (lambda s, keep: dist.Gamma(2.0, s).expand([3]), [1.0, 0.0, 2.0]),
    "uniform to a parent": (lambda s, keep: dist.Uniform(0.0, 5.0 + 0.0 * keep), [1.0, 7.0, 2.0]),
}


@pytest.mark.parametrize("law", MASKED)
def test_a_masked_element_may_have_any_value_and_no_part_in_density_and_score(law, x64):
    make, y = MASKED[law]
    keep = np.array([True, False, True])
    masked = gm.joint(
        s=dist.LogNormal(0.0, 1.0), keep=gm.data(keep), y=lambda s, keep: make(s, keep).mask(keep.astype(bool))
    )
    found, inside = (gm.compile(masked.condition(y=v)) for v in (y, [y[0], y[2], y[2]]))
    at = {"s": AT}
    assert float(found.log_density(at)) == float(inside.log_density(at))
    assert float(found.score(at)["s"]) == float(inside.score(at)["s"])
    assert np.isfinite(float(found.score(at)["s"]))
    if law != "end":
        with pytest.raises(gm.SpecError, match=r"with_data\(...\): .* at \(1,\) lies outside the support"):
            found.with_data(keep=np.array([True, True, True]))


def test_a_mask_that_a_random_parent_moves_hides_nothing():
    model = gm.joint(
        s=dist.LogNormal(0.0, 1.0), z=dist.Normal(0.0, 1.0), y=lambda s, z: dist.Exponential(s).mask(z > 0)
    )
    with pytest.raises(gm.SpecError, match="-1.0 lies outside the support"):
        model.condition(y=-1.0)


TRACED = {
    "Exponential": (lambda b: dist.Exponential(b), [0.0, 1.0], 2 * np.log(0.5) - 0.5),
    "HalfNormal": (lambda b: dist.HalfNormal(b), [0.0, 1.0], 2 * st.halfnorm.logpdf(0.0, scale=0.5) - 2.0),
    "Gamma": (lambda b: dist.Gamma(1.0, b), [0.0, 1.0], 2 * np.log(0.5) - 0.5),
    "Weibull": (lambda b: dist.Weibull(b, 1.0), [0.0, 1.0], -2 * np.log(0.5) - 2.0),
    "Pareto": (lambda b: dist.Pareto(1.0, b), [1.0, 2.0], 2 * np.log(0.5) - 1.5 * np.log(2.0)),
    "Beta": (lambda b: dist.Beta(1.0, b + 0.5), [0.0, 0.25], 0.0),
    "Normal": (lambda b: dist.Normal(b, 1.0), [0.0, 1.0], st.norm.logpdf([0.0, 1.0], 0.5).sum()),
}


@pytest.mark.parametrize("name", TRACED)
def test_traced_values_have_the_density_of_known_ones(name):
    law, y, truth = TRACED[name]
    model = gm.joint(b=dist.HalfNormal(1.0), y=lambda b: law(b).expand([2]))
    truth = truth + st.halfnorm.logpdf(0.5)
    evaluate = lambda y: gm.compile(model.condition(y=y)).log_density({"b": 0.5})  # noqa: E731
    y = jnp.array(y)
    found = evaluate(y), jax.jit(evaluate)(y), jax.vmap(evaluate)(y[None])[0], jax.value_and_grad(evaluate)(y)[0]
    np.testing.assert_allclose(found, truth, rtol=1e-5)
    assert np.isfinite(jax.grad(evaluate)(y)).all()
    for known in (np.asarray(y), y):  # from outside of the program
        at = lambda b, known=known: gm.compile(model.condition(y=known)).log_density({"b": b})  # noqa: E731
        np.testing.assert_allclose(jax.jit(at)(0.5), truth, rtol=1e-5)
        scanned = jax.lax.scan(lambda none, b, at=at: (none, at(b)), 0.0, jnp.full(2, 0.5))[1]
        np.testing.assert_allclose(scanned, truth, rtol=1e-5)
    if name != "Normal":
        assert jax.jit(evaluate)(y.at[0].set(-1.0)) == -jnp.inf


@pytest.mark.filterwarnings("ignore::gmdsl.CaptureWarning")
def test_a_function_that_holds_a_traced_number_has_its_density_at_an_end():
    def evaluate(rate, y):
        model = gm.joint(y=lambda: dist.Exponential(rate).expand([2]))
        return gm.compile(model.condition(y=y)).log_density({})

    jitted = jax.jit(evaluate, static_argnums=1)
    np.testing.assert_allclose(jitted(0.5, (0.0, 1.0)), 2 * np.log(0.5) - 0.5, rtol=1e-6)
    assert jitted(0.5, (-1.0, 1.0)) == -np.inf


def test_new_values_outside_of_a_closed_support_have_no_density():
    model = gm.joint(b=dist.HalfNormal(1.0), y=lambda b: dist.Exponential(b).expand([2])).condition(y=[0.0, 1.0])
    density = gm.compile(model)
    found = jax.jit(lambda y: density.with_data(y=y).log_density({"b": 0.5}))
    assert found(jnp.array([-1.0, 1.0])) == -jnp.inf
    np.testing.assert_allclose(found(jnp.array([0.0, 1.0])), density.log_density({"b": 0.5}), rtol=1e-6)


def labelled():
    return gm.joint(
        a=dist.HalfNormal(1.0), k=dist.Bernoulli(0.7).expand([4]), y=lambda a, k: dist.Exponential(a * (1 + 2 * k))
    )


def test_zeros_may_be_observed_before_or_after_a_sum_a_power_and_gaps():
    y, gaps = np.array([0.0, 0.5, 0.0, 1.2]), np.array([0.0, np.nan, 0.5, 0.0])
    at = lambda model: float(gm.compile(model).log_density({"a": 0.8}))  # noqa: E731
    prior, rates = st.halfnorm.logpdf(0.8), 0.8 * np.array([1.0, 3.0])
    each = np.log((np.array([0.3, 0.7]) * rates * np.exp(-rates * y[:, None])).sum(axis=1))
    for model in (labelled().condition(y=y).marginalize("k"), labelled().marginalize("k").condition(y=y)):
        assert at(model) == pytest.approx(prior + each.sum(), abs=1e-5)
    seen = np.log((np.array([0.3, 0.7]) * rates * np.exp(-rates * np.array([0.0, 0.5, 0.0])[:, None])).sum(axis=1))
    settings = {"y": gaps, "missing": "marginalise"}
    assert at(labelled().marginalize("k").condition(**settings)) == pytest.approx(prior + seen.sum(), abs=1e-5)
    plain = gm.joint(a=dist.HalfNormal(1.0), y=lambda a: dist.Exponential(a).expand([4]))
    powered = 0.5 * (prior + st.expon(scale=1 / 0.8).logpdf(y).sum())
    assert at((plain**0.5).condition(y=y)) == pytest.approx(powered, abs=1e-5)
    assert at(plain.condition(y=y) ** 0.5) == pytest.approx(powered, abs=1e-5)


def test_rows_of_sums_and_mixtures_may_be_zero():
    mixed = gm.mixture([0.3, 0.7], gm.joint(y=dist.Exponential(1.0)), gm.joint(y=dist.Exponential(3.0)))
    y = np.array([0.0, 1.0])
    truth = np.log(0.3 * np.exp(-y) + 2.1 * np.exp(-3 * y))
    np.testing.assert_allclose(gm.log_likelihood(mixed, {"y": y}), truth, rtol=1e-5)


def test_a_sum_has_the_density_of_the_labels_that_have_one():
    model = gm.joint(k=dist.Bernoulli(0.7), y=lambda k: dist.Gamma(1.0 + k, 2.0))
    for found in (model.marginalize("k").condition(y=0.0), model.condition(y=0.0).marginalize("k")):
        assert float(gm.compile(found).log_density({})) == pytest.approx(np.log(0.3 * 2.0), abs=1e-5)
    none = gm.joint(k=dist.Bernoulli(0.7), y=lambda k: dist.Gamma(2.0 + k, 2.0)).marginalize("k")
    with pytest.raises(gm.SpecError, match="0 lies at the end of the support of y, where the density is zero"):
        none.condition(y=0.0)
    with pytest.raises(gm.SpecError, match="-1.0 lies outside the support"):
        model.marginalize("k").condition(y=-1.0)
