"""Inputs in learning: each datum is described at its own value of the input, by every objective."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm
from gmdsl.learning.inputs import at_datum, conditional, inputs_of, variables_of

NOISE = 0.5


def line(rows=400, seed=0):
    """Data along a line whose inputs lie to one side, so that the slope and the level pull at each other."""
    rng = np.random.default_rng(seed)
    c = rng.gamma(2.0, 1.0, rows).astype("float32")
    return c, (2.0 * c - 1.0 + NOISE * rng.standard_normal(rows)).astype("float32")


def least_squares(c, x):
    """Slope and level of the best line, with their standard errors at noise of known size."""
    design = np.column_stack([c, np.ones_like(c)])
    return np.linalg.lstsq(design, x)[0], NOISE * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))


def energy():
    return gm.energy(
        lambda x, c, slope, level: 0.5 * ((x - slope * c - level) / NOISE) ** 2,
        x=gm.Real(), c=gm.input(gm.Real()), slope=gm.param(0.0), level=gm.param(0.0),
    )  # fmt: skip


def fitted(model, data, objective, steps=600, rate=0.05, **settings):
    settings = {"optimizer": optax.adam(optax.cosine_decay_schedule(rate, steps)), **settings}
    return gm.fit(model, data, objective, steps=steps, progress=False, **settings)


def numbers(fit):
    return np.array([float(fit.model.params[name].value) for name in ("slope", "level")])


def test_maximum_likelihood_of_a_conditional_is_least_squares():
    c, x = line()
    model = gm.joint(
        c=gm.input(gm.Real()), slope=gm.param(0.0), level=gm.param(0.0),
        x=lambda c, slope, level: dist.Normal(slope * c + level, NOISE),
    )  # fmt: skip
    fit = fitted(model, {"x": x, "c": c}, gm.MaximumLikelihood(), steps=1500, held_out={"x": x[:9], "c": c[:9]})
    assert np.allclose(numbers(fit), least_squares(c, x)[0], atol=2e-4)
    mean = numbers(fit)[0] * c[:9] + numbers(fit)[1]
    assert np.isclose(fit.history["held_out"][-1], -np.mean(dist.Normal(mean, NOISE).log_prob(x[:9])), rtol=1e-4)
    at_two = gm.compile(fit.model.condition(c=2.0))
    assert np.isclose(
        float(at_two.log_density({"x": 3.0})),
        float(dist.Normal(numbers(fit)[0] * 2 + numbers(fit)[1], NOISE).log_prob(3.0)),
        rtol=1e-5,
    )


CHAINS = {
    "divergence": (gm.ContrastiveDivergence(gm.MALA(0.2), steps=10), {}),
    "persistent": (gm.ContrastiveDivergence(gm.MALA(0.2), steps=10, persistent=True), {"batch_size": 100}),
    "restarted": (gm.ContrastiveDivergence(gm.MALA(0.2), steps=10, persistent=True, restart=0.2), {}),
    "likelihood": (gm.MaximumLikelihood(gm.MALA(0.2)), {"batch_size": 100}),
    "likelihood of all data": (gm.MaximumLikelihood(gm.MALA(0.2)), {}),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_stay_at_the_input_of_their_datum(name):
    c, x = line()
    objective, settings = CHAINS[name]
    fit = fitted(energy(), {"x": x, "c": c}, objective, **settings)
    best, error = least_squares(c, x)
    # The average of the last steps has the noise of many chains; z of the two numbers, one in 15,000 beyond 4.
    assert np.all(np.abs(numbers(fit) - best) < 4.0 * error)


def test_ranking_needs_no_constant_of_the_input():
    """The width, and with it the normalising constant, depends on the input."""
    rng = np.random.default_rng(3)
    c = rng.uniform(-1.0, 1.5, 1000).astype("float32")
    x = (2.0 * c - 1.0 + np.exp(0.8 * c) * rng.standard_normal(1000)).astype("float32")
    names = {name: gm.param(0.0) for name in ("slope", "level", "growth")}
    given = {"c": gm.input(gm.Real()), **names}
    model = gm.energy(
        lambda x, c, slope, level, growth: 0.5 * ((x - slope * c - level) / jnp.exp(growth * c)) ** 2,
        x=gm.Real(), **given,
    )  # fmt: skip
    exact = gm.joint(x=lambda c, slope, level, growth: dist.Normal(slope * c + level, jnp.exp(growth * c)), **given)
    data = {"x": x, "c": c}
    best = fitted(exact, data, gm.MaximumLikelihood(), steps=1000).model
    plain = gm.joint(x=dist.Normal(0.0, 4.0))
    moved = gm.joint(c=gm.input(gm.Real()), x=lambda c: dist.Normal(c, 3.0))
    for reference in (plain, moved):
        fit = fitted(model, data, gm.NoiseContrastive(reference, ratio=8), steps=1000)
        assert "log_z" not in fit.model.params
        for name, off in (("slope", 0.15), ("level", 0.15), ("growth", 0.08)):  # four standard errors of 1,000 data
            assert abs(float(fit.model.params[name].value) - float(best.params[name].value)) < off


def test_a_constant_that_depends_on_the_input_is_summed_out():
    rng = np.random.default_rng(1)
    c = rng.gamma(2.0, 1.0, 300).astype("float32") - 1.0
    s = np.where(rng.random(300) < 1.0 / (1.0 + np.exp(-2.0 * (1.5 * c - 0.5))), 1, -1)
    model = gm.energy(
        lambda s, c, slope, level: -s * (slope * c + level),
        s=gm.Spin(), c=gm.input(gm.Real()), slope=gm.param(0.0), level=gm.param(0.0),
    )  # fmt: skip
    fit = fitted(model, {"s": s, "c": c}, gm.MaximumLikelihood(), steps=1500)
    slope, level = numbers(fit)
    push = s - np.tanh(slope * c + level)  # the gradient of a logistic regression
    assert np.allclose([np.mean(push), np.mean(push * c)], 0.0, atol=2e-4)


def test_hidden_variables_of_a_conditional_by_chains_and_by_a_bound():
    c, x = line()
    best, error = least_squares(c, x)
    names = {"c": gm.input(gm.Real()), "slope": gm.param(0.0), "level": gm.param(0.0)}
    model = gm.joint(
        z=lambda c, slope, level: dist.Normal(slope * c + level, 0.3), x=lambda z: dist.Normal(z, 0.4), **names
    )  # 0.3 and 0.4 are together 0.5
    data = {"x": x, "c": c}
    by_chains = fitted(model, data, gm.MaximumLikelihood(gm.MALA(0.2)), batch_size=100)
    assert np.all(np.abs(numbers(by_chains) - best) < 4.0 * error)

    guide = gm.joint(
        c=gm.input(gm.Real()), x=gm.input(gm.Real()),
        u=gm.param(0.0), v=gm.param(0.0), w=gm.param(0.0), s=gm.param(-1.0),
        z=lambda c, x, u, v, w, s: dist.Normal(u + v * x + w * c, jnp.exp(s)),
    )  # fmt: skip
    fit = fitted(model, data, gm.ELBO(guide=guide), steps=2500)
    assert np.all(np.abs(numbers(fit) - best) < 4.0 * error)  # the bound is tight, as the guide can be the posterior
    held = gm.log_marginal(fit.model, x=x[:3], c=c[:3], guide=fit.learned.guide, method=gm.ImportanceSampling())
    exact = dist.Normal(numbers(fit)[0] * c[:3] + numbers(fit)[1], NOISE).log_prob(x[:3])
    assert np.all(np.abs([one.log_z for one in held] - np.asarray(exact)) < 0.02)
    bound = fit.model.condition(c=c[0])  # in the model alone: the guide reads the same
    (again,) = gm.log_marginal(bound, x=x[:1], guide=fit.learned.guide, method=gm.ImportanceSampling())
    assert again.log_z == pytest.approx(held[0].log_z, abs=1e-6)


class Line(eqx.Module):
    """A Gaussian whose mean is linear in a datum and its input."""

    weights: jax.Array

    def __call__(self, x, c):
        w = self.weights
        return dist.Normal(w[0] + w[1] * x + w[2] * c, jnp.exp(w[3]))


def test_a_guide_in_short_reads_the_input():
    c, x = line()
    model = gm.joint(
        c=gm.input(gm.Real()), z=dist.Normal(0.0, 1.0), level=gm.param(0.0),
        x=lambda z, c, level: dist.Normal(z + c + level, 1.0),
    )  # fmt: skip
    guide = gm.given("x", "c", Line(jnp.zeros(4)))
    fit = fitted(model, {"x": x, "c": c}, gm.ELBO(guide=guide, particles=4), steps=2500)
    level = float(fit.model.params["level"].value)
    assert abs(level - np.mean(x - c)) < 4 * np.sqrt(2.0 / len(x))
    found = jax.tree.leaves(eqx.filter(fit.learned.guide.factors, eqx.is_inexact_array))
    assert np.allclose(found[0], [-level / 2, 0.5, -0.5, np.log(0.5) / 2], atol=0.03)  # the exact posterior


def test_a_guide_reads_an_input_that_the_model_has_bound():
    _, x = line()
    model = gm.joint(
        c=gm.input(gm.Real()), z=dist.Normal(0.0, 1.0), level=gm.param(0.0),
        x=lambda z, c, level: dist.Normal(z + c + level, 1.0),
    ).condition(c=2.0)  # fmt: skip
    guide = gm.given("x", "c", Line(jnp.zeros(4)))
    fit = fitted(model, {"x": x}, gm.ELBO(guide=guide, particles=4), steps=2500)
    assert abs(float(fit.model.params["level"].value) - np.mean(x - 2.0)) < 4 * np.sqrt(2.0 / len(x))
    assert fit.learned.guide.inputs == (("x", gm.Real()),)


def test_inputs_without_data_and_settings_that_do_not_fit_are_refused():
    c, x = line(20)
    with pytest.raises(gm.SpecError, match=r"the input c has no data.*\.condition\(c=\.\.\.\)"):
        fitted(energy(), {"x": x}, gm.MaximumLikelihood(gm.MALA(0.1)))
    with pytest.raises(gm.SpecError, match=r"d is no free variable and no input; those are x, c"):
        fitted(energy(), {"x": x, "d": c}, gm.MaximumLikelihood(gm.MALA(0.1)))
    with pytest.raises(gm.SpecError, match=r"c has shape \(20, 2\), but one datum was declared \(\)"):
        fitted(energy(), {"x": x, "c": np.zeros((20, 2))}, gm.MaximumLikelihood(gm.MALA(0.1)))
    store = gm.ContrastiveDivergence(gm.MALA(0.1), persistent=True, replay=200)
    with pytest.raises(gm.SpecError, match=r"replay=200.*keeps the chain at its own inputs"):
        fitted(energy(), {"x": x, "c": c}, store)
    for objective in (
        gm.ContrastiveDivergence(gm.MALA(0.1), persistent=True),
        gm.MaximumLikelihood(gm.MALA(0.1)),
    ):
        with pytest.raises(gm.SpecError, match=r"held_out"):
            fitted(energy(), {"x": x, "c": c}, objective, held_out={"x": x, "c": c})
    noise = gm.joint(d=gm.input(gm.Real()), x=lambda d: dist.Normal(d, 1.0))
    with pytest.raises(gm.SpecError, match=r"the reference reads the input d, which the model does not have"):
        fitted(energy(), {"x": x, "c": c}, gm.NoiseContrastive(noise))


def test_an_input_that_is_bound_once_holds_for_all_data():
    _, x = line()
    fit = fitted(energy().condition(c=0.0), {"x": x}, gm.MaximumLikelihood(gm.MALA(0.2)))
    assert abs(numbers(fit)[1] - x.mean()) < 4.0 * NOISE / np.sqrt(len(x))
    assert numbers(fit)[0] == 0.0


def test_a_label_that_points_outside_of_an_array_is_refused():
    model = gm.joint(
        g=gm.input(gm.Categorical(5)), level=gm.param(np.zeros(3)), x=lambda level, g: dist.Normal(level[g], 1.0)
    )
    x = np.array([1.0, 2.0, 6.0, 8.0])
    with pytest.raises(gm.SpecError, match=r"fit\(data\): g gives the index 4 in x, where the elements are 0 to 2"):
        fitted(model, {"x": x, "g": [0, 1, 4, 2]}, gm.MaximumLikelihood())
    with pytest.raises(gm.SpecError, match=r"fit\(held_out\): g gives the index 3"):
        fitted(model, {"x": x, "g": [0, 1, 2, 2]}, gm.MaximumLikelihood(), held_out={"x": x[:1], "g": [3]})
    fit = fitted(model, {"x": x, "g": [0, 1, 2, 2]}, gm.MaximumLikelihood(), steps=1500, rate=0.1)
    assert np.allclose(fit.model.params["level"].value, [1.0, 2.0, 7.0], atol=1e-3)


def test_parts_of_a_datum():
    model, datum = energy(), {"x": jnp.float32(1.0), "c": jnp.float32(2.0)}
    assert inputs_of(model, datum) == {"c": 2.0}
    assert variables_of(model, datum) == {"x": 1.0}
    bound = at_datum(model, datum)
    assert bound.inputs == ()
    assert dict(bound.bound) == {"c": gm.Real()}
    assert bound.observed == {"x": 1.0}
    assert float(conditional(model)(datum).log_density_at({"x": 1.0})) == -2.0
