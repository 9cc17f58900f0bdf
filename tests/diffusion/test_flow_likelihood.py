import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.core.pytrees.partition import strip
from gmdsl.diffusion import flow_likelihood
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.flow_likelihood import BLOCK

TIGHT = {"rtol": 1e-8, "atol": 1e-8}


def gaussian(process, mean=(0.5, -1.0)):
    cov = jnp.array([[1.0, 0.6], [0.6, 0.5]])
    return gm.noise(gm.joint(x=dist.MultivariateNormal(jnp.array(mean), cov)), process)


def true(family, x):
    density = gm.compile(family.model)
    return np.array([density.log_density({"x": row}) for row in x])


PROCESSES = [gm.VP(), gm.VE(0.01, 20.0), gm.Brownian(1.5, t_max=9.0), gm.EDM(20.0), gm.Cosine()]


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_from_the_exact_end_the_density_of_the_start_is_found(process, x64):
    """At the first time: for VE that of data with the noise of sigma_min."""
    family, x = gaussian(process), np.array([[0.5, -1.0], [2.0, 1.0], [-1.0, -1.5]])
    found = gm.log_likelihood(family, x, prior=family.at(process.t_max), **TIGHT)
    truth = [family.log_density(row, 0.0) for row in x]
    np.testing.assert_allclose(found, truth, atol=1e-5)
    if not isinstance(process, gm.VE):
        np.testing.assert_allclose(found, true(family, x), atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*nats from the Gaussian")
def test_without_a_prior_it_is_the_density_of_what_the_flow_draws(x64):
    """The flow of N(0, v) scales by sd(T) / sd(0); from N(0, s^2) its draws are N(0, s^2 v / var(T))."""
    family = gm.noise(gm.joint(x=dist.Normal(0.0, 2.0)), gm.Brownian(1.0, t_max=12.0))
    sd = (12.0 * 4.0 / 16.0) ** 0.5
    np.testing.assert_allclose(gm.log_likelihood(family, 1.3, **TIGHT), dist.Normal(0.0, sd).log_prob(1.3), atol=1e-6)


def test_one_datum_gives_a_number_and_rows_an_array(x64):
    family = gaussian(gm.VP())
    rows = np.array([[0.5, -1.0], [2.0, 1.0]])
    both = gm.log_likelihood(family, rows)
    assert both.shape == (2,)
    one = gm.log_likelihood(family, rows[1])
    assert np.shape(one) == ()
    np.testing.assert_allclose(one, both[1], rtol=1e-9)
    np.testing.assert_allclose(gm.log_likelihood(family, {"x": rows}), both, rtol=1e-12)


def test_any_number_of_rows_is_done_in_blocks():
    family = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.VP())
    x = np.linspace(-2.0, 2.0, BLOCK + 3)
    found = gm.log_likelihood(family, x, rtol=1e-4, atol=1e-4)
    assert found.shape == (BLOCK + 3,)
    np.testing.assert_allclose(found, dist.Normal(0.0, 1.0).log_prob(x), atol=2e-3)


def test_two_variables_come_by_name_in_any_order(x64):
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(jnp.stack([a, -a]), 0.5).to_event(1))
    family = gm.noise(model, gm.VP())
    data = {"b": np.array([[0.1, 0.2], [1.0, -1.0]]), "a": np.array([0.3, 0.8])}
    density = gm.compile(model)
    truth = [density.log_density({"a": a, "b": b}) for a, b in zip(data["a"], data["b"], strict=True)]
    found = gm.log_likelihood(family, data, prior=family.at(1.0), **TIGHT)
    np.testing.assert_allclose(found, truth, atol=1e-5)


def test_random_probes_are_unbiased_for_the_exact_trace(x64):
    """200 runs with two probes of a mixture in three dimensions: |z| < 4.5, and the spread is not zero."""
    parts = dist.MultivariateNormal(
        jnp.array([[-1.0, 0.5, 0.0], [1.0, 0.0, 2.0]]), 0.3 * jnp.eye(3) + 0.1
    )  # fmt: skip
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.4, 0.6])), parts))
    family, x = gm.noise(model, gm.EDM(10.0)), np.array([0.2, 0.4, 0.9])
    exact = gm.log_likelihood(family, x)
    found = gm.log_likelihood(family, np.tile(x, (200, 1)), probes=2, seed=1)
    assert found.std() > 1e-3
    assert abs(found.mean() - exact) < 4.5 * found.std() / np.sqrt(200)
    again, other = (gm.log_likelihood(family, x, probes=2, seed=s) for s in (0, 1))
    assert again != other
    assert again == gm.log_likelihood(family, x, probes=2, seed=0)


def test_a_data_set_is_integrated_from_its_first_time(x64):
    """One datum: at t_min its law is N(alpha x, sigma^2)."""
    process = gm.VP()
    family, t = gm.noise(np.array([[2.0]]), process), process.t_min
    x = float(process.alpha(t)) * 2.0 + float(process.sigma(t)) * np.array([[0.0], [1.5]])
    found = gm.log_likelihood(family, x, prior=family.at(1.0), **TIGHT)
    truth = dist.Normal(process.alpha(t) * 2.0, process.sigma(t)).log_prob(x[:, 0])
    np.testing.assert_allclose(found, truth, atol=1e-5)


def test_a_network_that_knows_the_score_has_the_likelihood(x64):
    """The score of standard normal data under VP is -x at every time."""
    family = gm.score_model(gm.VP(), lambda x, t: -x, prediction=gm.PredictScore(), x=gm.Real(2))
    x = np.array([[0.3, -1.0], [2.0, 0.5]])
    truth = dist.Normal(0.0, 1.0).log_prob(x).sum(-1)
    np.testing.assert_allclose(gm.log_likelihood(family, x, **TIGHT), truth, atol=1e-6)


def test_other_values_compile_nothing(compilations):
    for mean, tolerance in [(0.5, 1e-4), (1.5, 1e-4), (1.5, 1e-3)]:
        family = gaussian(gm.VP(), mean=(mean, 0.0))
        before = len(compilations)
        gm.log_likelihood(family, np.zeros((3, 2)), rtol=tolerance)
        compiled = len(compilations) - before
    assert compiled == 0


def test_a_flow_that_does_not_arrive_is_an_error_and_not_a_number():
    family = gm.score_model(gm.VP(), lambda x, t: x * jnp.nan, prediction=gm.PredictScore(), x=gm.Real())
    with pytest.raises(gm.SpecError, match="the flow of 2 of 2 data did not reach the noise. Loosen rtol"):
        gm.log_likelihood(family, np.zeros(2))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"y": np.zeros(2)}, r"log_likelihood\(family, ...\): data for y, but the variables are x"),
        (np.zeros(3), r"log_likelihood\(x\): shape \(3,\), but one datum was declared \(2,\)"),
        (np.zeros((2, 2, 2)), r"log_likelihood\(x\): shape \(2, 2, 2\)"),
        (1.0, r"log_likelihood\(x\): shape \(\)"),
        (np.array([["a", "b"]]), r"log_likelihood\(x\)"),
    ],
)
def test_data_of_another_shape_are_refused(data, text):
    with pytest.raises(gm.SpecError, match=text):
        gm.log_likelihood(gaussian(gm.VP()), data)


def test_no_rows_give_no_numbers():
    assert gm.log_likelihood(gaussian(gm.VP()), np.zeros((0, 2))).shape == (0,)


def test_lengths_that_differ_are_refused():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(a, 1.0))
    with pytest.raises(gm.SpecError, match="the lengths differ"):
        gm.log_likelihood(gm.noise(model, gm.VP()), {"a": np.zeros(2), "b": np.zeros(3)})


@pytest.mark.parametrize("prior", [3.0, gm.VP(), gm.joint(y=dist.Normal(0.0, 1.0))], ids=lambda p: type(p).__name__)
def test_a_prior_of_something_else_is_refused(prior):
    with pytest.raises(gm.SpecError, match=r"log_likelihood\(prior=...\): a model of x is needed, the law at t_max"):
        gm.log_likelihood(gaussian(gm.VP()), np.zeros(2), prior=prior)


@pytest.mark.parametrize("probes", [0, -1])
def test_a_number_of_probes_below_one_is_named(probes):
    with pytest.raises(gm.SpecError, match="probes"):
        gm.log_likelihood(gaussian(gm.VP()), np.zeros(2), probes=probes)


def test_gradients_of_the_data_are_the_score_by_finite_differences(x64):
    family, x, h = gaussian(gm.VP()), np.array([0.3, -0.5]), 1e-4
    prior = family.at(1.0)
    up, down = (gm.log_likelihood(family, x + np.array([s, 0.0]), prior=prior, **TIGHT) for s in (h, -h))
    np.testing.assert_allclose((up - down) / (2 * h), family.score(x, 0.0)[0], rtol=1e-4)


class Pictures(eqx.Module):
    """Two convolutions of a flat picture of 6 x 6, and the level of its noise."""

    layers: tuple

    def __call__(self, x, level):
        inside = jnp.tanh(self.layers[0](x.reshape(1, 6, 6) + level))
        return self.layers[1](inside).reshape(-1)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the order is that of XLA's CPU code")
@pytest.mark.parametrize("probes", [None, 2])
def test_convolutions_along_the_flow_have_the_fast_order_and_give_the_same(monkeypatch, probes):
    keys = jax.random.split(jax.random.key(0))
    layers = tuple(
        eqx.nn.Conv2d(*sizes, 3, padding=1, key=key) for sizes, key in zip(((1, 4), (4, 1)), keys, strict=True)
    )
    family = gm.score_model(gm.VP(), Pictures(layers), x=gm.Real(36))
    x = np.random.default_rng(0).normal(size=(5, 36)).astype("float32")
    skeleton, arrays = strip(FlatFamily(family.process, family.denoiser, family.declared, None))
    rows = jax.random.split(jax.random.key(1), 5), jnp.asarray(x), {}
    tolerance = (jnp.asarray(1e-4), jnp.asarray(1e-4))
    text = flow_likelihood._block.lower(skeleton, probes, arrays, tolerance, *rows).as_text()
    assert set(re.findall(r"dim_numbers = (\S+, .*?->\[.*?\])", text)) == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}

    fast = flow_likelihood._block(skeleton, probes, arrays, tolerance, *rows)
    monkeypatch.setattr(flow_likelihood, "with_fast_convolutions", lambda function: function)
    plain = jax.jit(flow_likelihood._block.__wrapped__, static_argnums=(0, 1))
    np.testing.assert_allclose(fast, plain(skeleton, probes, arrays, tolerance, *rows), rtol=1e-4)
