import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.exact.discrete_sums import expectation_of, log_sum

# p(cloudy), p(sprinkler | cloudy), p(rain | cloudy), p(wet | sprinkler, rain)
CLOUDY, SPRINKLER, RAIN = 0.5, np.array([0.5, 0.1]), np.array([0.2, 0.8])
WET = np.array([[0.0, 0.9], [0.9, 0.99]])


def garden():
    return gm.joint(
        S=gm.data(SPRINKLER),
        R=gm.data(RAIN),
        W=gm.data(WET),
        cloudy=dist.Bernoulli(CLOUDY),
        sprinkler=lambda cloudy, S: dist.Bernoulli(S[cloudy]),
        rain=lambda cloudy, R: dist.Bernoulli(R[cloudy]),
        wet=lambda sprinkler, rain, W: dist.Bernoulli(W[sprinkler, rain]),
    )


def garden_weights():
    """The probabilities of (cloudy, sprinkler, rain, wet)."""
    found = {}
    for c, s, r, w in itertools.product((0, 1), repeat=4):
        p = SPRINKLER[c] if s else 1 - SPRINKLER[c]
        q = RAIN[c] if r else 1 - RAIN[c]
        found[c, s, r, w] = 0.5 * p * q * (WET[s, r] if w else 1 - WET[s, r])
    return found


def ring(size):
    return gm.energy(lambda s, beta: -beta * jnp.sum(s * jnp.roll(s, 1)), s=gm.Spin(size), beta=gm.param(0.5))


def test_the_evidence_and_posterior_of_a_small_net_are_those_of_the_table(x64):
    weights = garden_weights()
    wet = garden().condition(wet=1)
    evidence = sum(p for (_, _, _, w), p in weights.items() if w)
    np.testing.assert_allclose(log_sum(wet), np.log(evidence), rtol=1e-12)
    np.testing.assert_allclose(log_sum(garden()), 0.0, atol=1e-12)
    truth = [sum(p for state, p in weights.items() if state[3] and state[i]) / evidence for i in (1, 2)]
    found = expectation_of(wet, lambda v: jnp.stack([v["sprinkler"], v["rain"]]))
    np.testing.assert_allclose(found, truth, rtol=1e-12)


@pytest.mark.parametrize("size", [6, 40])
def test_a_ring_is_summed_and_averaged_by_its_transfer_matrix(size, x64):
    c, s = np.cosh(0.5), np.sinh(0.5)
    total = c**size + s**size
    np.testing.assert_allclose(log_sum(ring(size)), size * np.log(2.0) + np.log(total), rtol=1e-12)
    found = expectation_of(ring(size), lambda v: v["s"][0] * v["s"][1 : size // 2])
    apart = np.arange(1, size // 2)
    truth = (c ** (size - apart) * s**apart + c**apart * s ** (size - apart)) / total
    np.testing.assert_allclose(found, truth, rtol=1e-10, atol=1e-14)


def test_the_gradient_in_a_parameter_is_the_expected_energy(x64):
    slope = eqx.filter_grad(log_sum)(ring(30)).params["beta"].free
    np.testing.assert_allclose(
        slope, expectation_of(ring(30), lambda v: jnp.sum(v["s"] * jnp.roll(v["s"], 1))), rtol=1e-10
    )


def test_numbers_that_a_state_of_no_weight_makes_infinite_do_not_count(x64):
    for size in (3, 14):
        model = gm.energy(lambda k: jnp.where(k == 0, jnp.inf, 0.5 * k).sum(), k=gm.Categorical(3, size))
        found = expectation_of(model, lambda v: jnp.log(v["k"]))
        np.testing.assert_allclose(found, np.full(size, np.log(2.0) / (1.0 + np.exp(0.5))), rtol=1e-12)


def test_another_parameter_compiles_nothing(x64, compilations):
    model = ring(20)
    log_sum(model)
    other = eqx.tree_at(lambda m: m.params["beta"].free, model, np.asarray(0.9))
    before = len(compilations)
    found = log_sum(other)
    assert len(compilations) == before
    np.testing.assert_allclose(found, 20 * np.log(2.0) + np.log(np.cosh(0.9) ** 20 + np.sinh(0.9) ** 20), rtol=1e-12)


def test_the_type_of_a_constant_is_seen(x64):
    def model(n):
        return gm.joint(n=n, k=dist.Bernoulli(0.5)) * gm.energy(
            lambda k, n: -1.0 * k * (n // 2 if isinstance(n, int) else n / 2), k=gm.Binary(), n=n
        )

    np.testing.assert_allclose(log_sum(model(3)), np.log(0.5 + 0.5 * np.e), rtol=1e-12)
    np.testing.assert_allclose(log_sum(model(3.0)), np.log(0.5 + 0.5 * np.exp(1.5)), rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (gm.joint(k=dist.Bernoulli(0.5), x=dist.Normal(0.0, 1.0)), r"x lives in Real\(\), so its states cannot be"),
        (gm.joint(k=dist.Poisson(2.0)), "k lives in .*, so its states cannot be listed"),
        (gm.joint(k=gm.input(gm.Real()), b=lambda k: dist.Bernoulli(logits=k)), "the input k has no value"),
        (gm.joint(k=dist.Bernoulli(0.5)).condition(k=1), "no variable is free"),
        (
            gm.energy(lambda s: 0.1 * jnp.abs(jnp.sum(s)), s=gm.Spin(30)),
            "no rule sums over s .*a term joins 30 elements",
        ),
    ],
)
def test_what_cannot_be_summed_is_refused_with_the_reason(model, message):
    with pytest.raises(gm.SpecError, match=message):
        log_sum(model)


def test_functions_of_too_many_variables_are_refused(x64):
    magnetisation = expectation_of(ring(14), lambda v: jnp.abs(jnp.sum(v["s"])))
    states = np.array(list(itertools.product([-1, 1], repeat=14)))
    weights = np.exp(0.5 * (states * np.roll(states, 1, axis=1)).sum(1))
    np.testing.assert_allclose(magnetisation, weights @ np.abs(states.sum(1)) / weights.sum(), rtol=1e-10)
    with pytest.raises(gm.SpecError, match=r"a term joins 40 elements(.|\n)*estimate it by gm.sample"):
        expectation_of(ring(40), lambda v: jnp.abs(jnp.sum(v["s"])))
