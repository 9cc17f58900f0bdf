import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate

import gmdsl as gm


def normals(size):
    return dist.Normal(0.0, 1.0).expand([size])


def limited(**nodes):
    return tuple(name for factor in gm.joint(**nodes).factors for name in factor.limited)


def step(b, c, a):
    return 0.1 + a * c, dist.Normal(0.0, c)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({"a": dist.HalfNormal(1.0), "y": lambda a: dist.Binomial(10, probs=a)}, ("probs",)),
        ({"a": dist.Normal(1.0, 1.0), "y": lambda a: dist.Poisson(a)}, ("rate",)),
        ({"a": dist.Normal(1.0, 1.0), "y": lambda a: dist.Poisson(jnp.exp(a))}, ()),
        ({"a": dist.HalfCauchy(1.0), "y": lambda a: dist.Normal(jnp.zeros(3), 1e-3 + a)}, ()),
        ({"a": gm.input(gm.Integer()), "y": lambda a: dist.Poisson(jnp.exp(0.1 * a))}, ()),
        ({"a": gm.input(gm.Integer(3)), "y": lambda a: dist.Poisson(a)}, ("rate",)),
        ({"a": gm.input(gm.Spin()), "y": lambda a: dist.Normal(0.0, 2.0 + a)}, ()),
        ({"a": gm.input(gm.Spin()), "y": lambda a: dist.Normal(0.0, a)}, ("scale",)),
        ({"a": dist.Beta(1.0, 1.0), "y": lambda a: dist.Bernoulli(probs=a * (1.0 - a))}, ()),
        ({"a": normals(3), "y": lambda a: dist.Categorical(logits=a)}, ()),
        ({"a": dist.Dirichlet(jnp.ones(3)).expand([3]), "y": lambda a: dist.Categorical(probs=a[jnp.arange(2)])}, ()),
        ({"a": normals(3), "y": lambda a: dist.Categorical(probs=a)}, ("probs",)),
        ({"e": gm.data([1.0, 2.0]), "y": lambda e: dist.Normal(0.0, e)}, ()),
        ({"e": gm.input(gm.Real()), "y": lambda e: dist.Normal(0.0, e)}, ("scale",)),
        ({"e": gm.param(-1.0), "y": lambda e: dist.Normal(0.0, e)}, ("scale",)),
        ({"L": dist.LKJCholesky(3), "y": lambda L: dist.MultivariateNormal(jnp.zeros(3), scale_tril=L)}, ()),
        (
            {"a": dist.Uniform(0.0, 1.0), "y": gm.scan(step, first=dist.Normal(0.0, 1.0), length=4, carry=1.0)},
            ("scale",),
        ),
        (
            {
                "a": dist.Uniform(0.0, 1.0),
                "y": gm.scan(
                    lambda b, a: dist.Normal(0.0, jnp.sqrt(0.1 + a * b**2)), first=dist.Normal(0.0, 1.0), length=4
                ),
            },
            (),
        ),
    ],
)
def test_what_is_proved_from_the_spaces_of_the_parents(nodes, expected):
    assert limited(**nodes) == expected


def test_a_probability_that_may_exceed_one_is_cut_there(x64):
    model = gm.joint(a=dist.HalfNormal(1.0), y=lambda a: dist.Binomial(10, probs=a)).condition(y=10)
    density = gm.compile(model)
    assert np.isneginf(density.log_density({"a": 1.2}))
    assert np.isnan(density.log_density({"a": np.nan}))
    tree = gm.sample(model, gm.NUTS(), draws=2000, warmup=500, progress=False)
    a = tree["posterior"]["a"].values
    mass, first, second = (integrate.quad(lambda a, k=k: a**k * np.exp(-a * a / 2) * a**10, 0, 1)[0] for k in range(3))
    deviation = np.sqrt(second / mass - (first / mass) ** 2)
    assert a.max() < 1.0
    assert abs(a.mean() - first / mass) < 5.0 * deviation / np.sqrt(1000)  # ESS is above 1000; false alarms: 6e-7
    assert "probs of y at" in gm.lint(model)["domains"].evidence


def test_lint_names_the_parameter():
    model = gm.joint(a=dist.Normal(1.0, 1.0), y=lambda a: dist.Poisson(a)).condition(y=0)
    found = gm.lint(model)["domains"]
    assert found.status == "suspect"
    assert "rate of y at" in found.evidence
    inside = gm.joint(a=dist.Normal(1.0, 1.0), y=lambda a: dist.Poisson(jnp.exp(a))).condition(y=0)
    assert gm.lint(inside)["domains"].evidence == "every parameter stays inside of its constraint"


def test_every_verb_respects_the_domain():
    model = gm.joint(a=dist.Normal(1.0, 1.0), y=lambda a: dist.Poisson(a))
    with pytest.raises(gm.SpecError, match=r"sample_prior\(...\): rate of y is outside of its constraint at 1"):
        gm.sample_prior(model, draws=2000)
    with pytest.raises(gm.SpecError, match=r"sample\(...\): rate of y is outside"):
        model.sample(jax.random.key(0), 2000)
    path = gm.joint(
        s=dist.Normal(0.0, 1.0), y=gm.scan(lambda b, s: dist.Normal(b, s), first=dist.Normal(0.0, 1.0), length=3)
    ).condition(y=[0.0, 1.0, 2.0])
    assert np.isneginf(gm.compile(path).log_density({"s": -1.0}))
    missing = gm.joint(s=dist.Normal(0.0, 1.0), y=lambda s: dist.Normal(0.0, s).expand([2]))
    missing = missing.condition(y=[0.0, np.nan], missing="marginalise")
    assert np.isneginf(gm.compile(missing).log_density({"s": -1.0}))
    mixed = gm.mixture([0.5, 0.5], model, gm.joint(a=dist.Normal(1.0, 1.0), y=dist.Poisson(1.0)))
    exact = dist.Normal(1.0, 1.0).log_prob(-1.0) + dist.Poisson(1.0).log_prob(0) + np.log(0.5)
    np.testing.assert_allclose(gm.compile(mixed).log_density({"a": -1.0, "y": 0}), exact, rtol=1e-5)


def test_new_data_are_checked_as_those_at_the_declaration():
    model = gm.joint(e=gm.data([1.0, 2.0]), m=dist.Normal(0.0, 1.0), y=lambda m, e: dist.Normal(m, e))
    density = gm.compile(model.condition(y=[0.0, 1.0]))
    with pytest.raises(gm.SpecError, match=r"y: Normal\(scale=-1.0 at \(1,\)\)"):
        density.with_data(e=[1.0, -1.0])
    assert np.isfinite(density.with_data(e=[1.0, 3.0]).log_density({"m": 0.0}))


def test_a_covariance_that_is_not_symmetric_has_no_density():
    model = gm.joint(
        r=dist.Uniform(-1.0, 1.0),
        y=lambda r: dist.MultivariateNormal(jnp.zeros(2), covariance_matrix=jnp.array([[2.0, r], [0.5, 2.0]])),
    ).condition(y=[0.0, 0.0])
    density = gm.compile(model)
    assert np.isneginf(density.log_density({"r": -0.5}))
    assert np.isfinite(density.log_density({"r": 0.5}))
