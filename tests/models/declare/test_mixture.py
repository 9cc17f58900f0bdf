import jax
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from scipy import stats

import gmdsl as gm


def normal(mean, sd):
    return gm.joint(x=dist.Normal(mean, sd))


def two():
    return gm.mixture([0.3, 0.7], normal(-2.0, 0.5), normal(1.0, 1.5))


def exact(x):
    return np.log(0.3 * stats.norm.pdf(x, -2.0, 0.5) + 0.7 * stats.norm.pdf(x, 1.0, 1.5))


def test_parts_keep_their_data_parameters_and_constants_apart(x64):
    def part(scale, number):
        return gm.joint(
            s=gm.data(scale),
            n=number,
            p=gm.param(0.5),
            middle=lambda p, n: p * n,
            x=lambda middle, s: dist.Normal(middle, s),
        )

    model = gm.mixture([0.5, 0.5], part(1.0, 2.0), part(3.0, 4.0))
    assert (model.deterministic, dict(model.data), dict(model.params)) == ((), {}, {})
    truth = np.log(0.5 * stats.norm.pdf(0.0, 1.0, 1.0) + 0.5 * stats.norm.pdf(0.0, 2.0, 3.0))
    np.testing.assert_allclose(gm.compile(model).log_density({"x": 0.0}), truth, rtol=1e-12)


def test_a_mixture_prior_times_a_decoder_is_a_joint(x64):
    prior = gm.mixture([0.3, 0.7], *(gm.joint(z=dist.Normal(m, 1.0).expand([2]).to_event(1)) for m in (-2.0, 2.0)))
    decoder = gm.joint(z=gm.input(gm.Real(2)), x=gm.given("z", lambda z: dist.Normal(z.sum(), 0.5)))
    model = prior * decoder
    assert model.capabilities().drawable
    posterior = gm.compile(model.condition(x=1.0))
    assert posterior.free == ("z",)
    z = np.array([0.5, 1.5])
    terms = [np.log(w) + stats.norm.logpdf(z, m).sum() for w, m in ((0.3, -2.0), (0.7, 2.0))]
    truth = np.logaddexp(*terms) + stats.norm.logpdf(1.0, 2.0, 0.5)
    np.testing.assert_allclose(posterior.log_density({"z": z}), truth, rtol=1e-12)
    tree = gm.sample_prior(model, draws=20)
    assert tree["prior"]["x"].shape == (1, 20)


def test_inputs_are_parents_and_are_bound_by_conditioning(x64):
    def part(scale):
        return gm.joint(a=gm.input(gm.Real()), x=lambda a: dist.Normal(scale * a, 1.0))

    model = gm.mixture([0.5, 0.5], part(1.0), part(-1.0))
    assert [name for name, _ in model.inputs] == ["a"]
    assert model.capabilities().normalized
    truth = np.log(0.5 * stats.norm.pdf(1.0, 2.0) + 0.5 * stats.norm.pdf(1.0, -2.0))
    np.testing.assert_allclose(gm.compile(model.condition(a=2.0)).log_density({"x": 1.0}), truth, rtol=1e-12)


def test_learnable_weights_are_a_parameter_of_the_model(x64):
    model = gm.mixture(gm.param([0.5, 0.5], gm.Simplex(2)), normal(-2.0, 1.0), normal(2.0, 1.0))
    assert list(model.params) == ["weights"]
    x = np.asarray(gm.mixture([0.2, 0.8], normal(-2.0, 1.0), normal(2.0, 1.0)).sample(jax.random.key(0), 4000)["x"])
    objective, adam = gm.MaximumLikelihood(), optax.adam(0.05)
    fit = gm.fit(model, {"x": x}, objective, optimizer=adam, steps=200, batch_size=4000, seed=0, progress=False)
    assert abs(float(fit.model.params["weights"].value[0]) - 0.2) < 0.03
    renamed = model.rename(weights="pi")
    assert gm.compile(renamed).log_density({"x": 0.0}) == gm.compile(model).log_density({"x": 0.0})
    with pytest.raises(gm.SpecError, match=r"the weights of 2 parts live in Simplex\(2\), not in Simplex\(3\)"):
        gm.mixture(gm.param([0.2, 0.3, 0.5], gm.Simplex(3)), normal(0.0, 1.0), normal(1.0, 1.0))


def test_parameters_and_weights_of_the_parts_are_learned_together(x64):
    def part(start):
        return gm.joint(m=gm.param(start), s=gm.param(1.0, gm.Positive()), x=lambda m, s: dist.Normal(m, s))

    truth = gm.mixture([0.3, 0.7], normal(-2.0, 0.5), normal(3.0, 1.0))
    x = np.asarray(truth.sample(jax.random.key(0), 4000)["x"])
    model = gm.mixture(gm.param([0.5, 0.5], gm.Simplex(2)), part(-1.0), part(1.0))
    objective, adam = gm.MaximumLikelihood(), optax.adam(0.03)
    fit = gm.fit(model, {"x": x}, objective, optimizer=adam, steps=400, batch_size=4000, seed=0, progress=False)
    found = [{name: float(p.value) for name, p in part.params.items()} for part in fit.model.factors[0].parts]
    assert found[0] == pytest.approx({"m": -2.0, "s": 0.5}, abs=4.0 * 0.5 / np.sqrt(1200))
    assert found[1] == pytest.approx({"m": 3.0, "s": 1.0}, abs=4.0 / np.sqrt(2800))
    assert float(fit.model.params["weights"].value[0]) == pytest.approx(0.3, abs=4.0 * np.sqrt(0.21 / 4000))


def test_nuts_finds_the_moments():
    model = gm.mixture([0.3, 0.7], normal(-1.0, 1.0), normal(1.0, 1.0))
    x = gm.sample(model, gm.NUTS(), chains=4, draws=1000, warmup=500, seed=1, progress=False)["posterior"]["x"]
    assert abs(float(x.mean()) - 0.4) < 0.12
    assert abs(float(x.var()) - 1.84) < 0.25


@pytest.mark.parametrize(
    ("weights", "parts", "message"),
    [
        ([0.5, 0.5], (normal(0, 1), gm.energy(lambda x: x**2, x=gm.Real())), "part 2 is not normalised: energy"),
        ([0.5, 0.5], (normal(0, 1), normal(0, 1).condition(x=0.0)), "part 2 observes x"),
        ([0.5, 0.5], (normal(0, 1), gm.joint(y=dist.Normal(0, 1))), r"part 2 has the variables y in Real\(\)"),
        ([0.5, 0.5], (normal(0, 1), gm.joint(x=dist.HalfNormal(1))), r"x in Positive\(\), but part 1 has x in Real"),
        ([0.5, 0.4], (normal(0, 1), normal(1, 1)), "these add to 0.9"),
        ([1.5, -0.5], (normal(0, 1), normal(1, 1)), "weights are at least 0"),
        ([1.0], (normal(0, 1), normal(1, 1)), r"2 parts need 2 weights, but the weights have shape \(1,\)"),
        ([1.0], (dist.Normal(0, 1),), "part 1 is Normal, not a model"),
        ([1.0], (), "no part was given"),
        (gm.param([0.5, 0.5], gm.Simplex(2)), (gm.joint(weights=dist.Normal(0, 1)),) * 2, "a variable 'weights'"),
    ],
)
def test_what_cannot_be_mixed_is_refused(weights, parts, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.mixture(weights, *parts)
