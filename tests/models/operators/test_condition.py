import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


@pytest.fixture
def schools():
    return gm.joint(
        mu=dist.Normal(0.0, 5.0),
        tau=dist.HalfCauchy(5.0),
        theta=lambda mu, tau: dist.Normal(mu, tau).expand([8]),
        best=lambda theta: theta.max(),
        k=lambda mu: dist.Bernoulli(logits=mu),
        y=lambda theta, sigma: dist.Normal(theta, sigma),
        sigma=gm.data(np.ones(8)),
        rho=gm.param(0.3),
    )


def test_what_is_observed_is_no_longer_free(schools):
    posterior = schools.condition(y=np.zeros(8), k=True)
    assert posterior.free == ("mu", "tau", "theta")
    assert posterior.observed["k"] == 1
    assert schools.free == ("mu", "tau", "theta", "k", "y")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"yy": 1.0}, "there is no 'yy'; the variables are .*Did you mean 'y'"),
        ({"y": np.zeros(3)}, r"shape \(3,\), but y was declared \(8,\). Pass an array of shape \(8,\)."),
        ({"y": np.zeros((8, 1))}, r"shape \(8, 1\), but y was declared \(8,\)"),
        ({"y": np.full(8, np.nan)}, '8 of 8 values are NaN .* out, .condition\\(..., missing="marginalise"\\)'),
        ({"y": np.full(8, np.inf)}, "inf at .0,. lies outside the support"),
        ({"tau": -1.0}, "-1.0 lies outside the support; tau was declared Positive"),
        ({"k": 0.5}, "not whole numbers, but k was declared Binary"),
        ({"k": 2}, "2 lies outside the support"),
        ({"best": 1.0}, "best is computed from .*theta.*no density of its own"),
        ({"sigma": np.ones(8)}, "sigma is data.*with_data"),
        ({"rho": 0.1}, "rho is a parameter"),
        ({"y": ["a"] * 8}, "numbers are needed"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(schools, values, message):
    with pytest.raises(gm.SpecError, match=message):
        schools.condition(**values)


def test_a_variable_is_observed_once(schools):
    with pytest.raises(gm.SpecError, match="already observed"):
        schools.condition(tau=1.0).condition(tau=2.0)


def test_conditioning_an_energy_leaves_the_energy_of_the_rest():
    model = gm.energy(lambda x, y: x**2 + 3.0 * x * y, x=gm.Real(), y=gm.Real()).condition(y=2.0)
    assert float(gm.compile(model).log_density({"x": 1.0})) == -7.0


def test_traced_values_are_accepted_by_shape():
    model = gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(mu, 1.0).expand([2]))

    def evidence(y):
        return gm.compile(model.condition(y=y)).log_density({"mu": 0.0})

    slope = jax.grad(evidence)(jnp.array([1.0, -2.0]))
    np.testing.assert_allclose(slope, [-1.0, 2.0], rtol=1e-6)
    with pytest.raises(gm.SpecError, match="was declared"):
        jax.jit(evidence)(jnp.ones(3))


def test_inputs_are_bound_by_conditioning():
    line = gm.joint(x=gm.input(gm.Real(3)), slope=dist.Normal(0.0, 1.0), y=lambda x, slope: dist.Normal(slope * x, 1.0))
    bound = line.condition(x=[0.0, 1.0, 2.0])
    assert bound.inputs == ()
    assert bound.data["x"].tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(gm.SpecError, match=r"shape \(2,\), but x was declared \(3,\)"):
        line.condition(x=[0.0, 1.0])


def test_gaps_are_integrated_out_when_asked_and_kept_in_what_is_observed():
    model = gm.joint(mu=dist.Normal(0.0, 1.0), k=lambda mu: dist.Poisson(jnp.exp(mu)).expand([3]))
    for word in ("marginalise", "marginalize"):
        known = model.condition(k=[2, np.nan, 0], missing=word)
        np.testing.assert_array_equal(known.observed["k"], [2.0, np.nan, 0.0])
    with pytest.raises(gm.SpecError, match=r"missing='marginalise'\): the values are not whole numbers"):
        model.condition(k=[2.5, np.nan, 0], missing="marginalise")
    with pytest.raises(gm.SpecError, match=r"-1 at .0,. lies outside the support"):
        model.condition(k=[-1, np.nan, 0], missing="marginalise")
    with pytest.raises(gm.SpecError, match=r"shape \(2,\), but k was declared \(3,\)"):
        model.condition(k=[np.nan, 0], missing="marginalise")


def test_the_word_for_gaps_is_the_one_that_there_is():
    model = gm.joint(missing=dist.Normal(0.0, 1.0), y=dist.Normal(0.0, 1.0))
    with pytest.raises(gm.SpecError, match="'ignore' was given, and the one choice is missing=\"marginalise\""):
        model.condition(y=0.0, missing="ignore")
    with pytest.raises(gm.SpecError, match="float was given, .* goes through a dict"):
        model.condition(missing=0.3)
    assert model.condition({"missing": 0.3}).free == ("y",)


def test_counts_that_floats_would_round_are_refused_beside_gaps():
    model = gm.joint(k=dist.Poisson(2e7).expand([2]))
    with pytest.raises(gm.SpecError, match="held in floats, which round 20000001. Enable x64."):
        model.condition(k=[20_000_001, np.nan], missing="marginalise")
    assert model.condition(k=[20_001, np.nan], missing="marginalise").observed["k"][0] == 20_001
