import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.learning.guide import Guided, as_guide, log_ratio, reparametrised


def model():
    """z ~ N(0, 1), x given z ~ N(z, 1): x ~ N(0, 2), z given x ~ N(x/2, 1/2)."""
    return gm.joint(z=dist.Normal(0.0, 1.0), x=lambda z: dist.Normal(z, 1.0))


def guide(scale=0.5**0.5):
    return gm.joint(x=gm.input(gm.Real()), z=lambda x: dist.Normal(0.5 * x, scale))


def test_with_the_exact_posterior_as_guide_every_draw_gives_the_evidence(x64):
    learned = Guided(model(), guide())
    for x in (0.0, 1.3, -7.0):
        ratios = jax.vmap(lambda key, x=x: log_ratio(learned, key, {"x": x}))(jax.random.split(jax.random.key(0), 20))
        np.testing.assert_allclose(ratios, dist.Normal(0.0, 2.0**0.5).log_prob(x), rtol=1e-12)


def test_with_another_guide_the_mean_weight_is_the_evidence_and_the_mean_logarithm_a_known_bound(x64):
    """KL(N(x/2, s^2) || N(x/2, 1/2)) = s^2 - 1/2 - log(s sqrt 2). Two |z| < 4: one false alarm in 8,000 seeds."""
    x, scale, n = 1.3, 0.9, 40_000
    learned = Guided(model(), guide(scale))
    ratios = jax.vmap(lambda key: log_ratio(learned, key, {"x": x}))(jax.random.split(jax.random.key(1), n))
    exact = dist.Normal(0.0, 2.0**0.5).log_prob(x)
    gap = scale**2 - 0.5 - np.log(scale * np.sqrt(2.0))
    assert abs(ratios.mean() - (exact - gap)) < 4 * ratios.std() / np.sqrt(n)
    weight = np.exp(ratios - exact)
    assert abs(weight.mean() - 1.0) < 4 * weight.std() / np.sqrt(n)


def test_the_short_form_is_the_model_it_stands_for(x64):
    class Encoder(gm.nets.MLP):
        def __call__(self, x):
            return dist.Normal(self.layers(x[None]), 1.0)

    encoder = Encoder(1, width=4, key=jax.random.key(0))
    made = as_guide("here", gm.given("x", encoder), model())
    assert (made.free, [name for name, _ in made.inputs]) == (("z",), ["x"])
    values = {"x": jnp.asarray(0.3), "z": jnp.asarray(-0.2)}
    density = gm.compile(made.condition(x=0.3))
    np.testing.assert_allclose(density.log_density({"z": -0.2}), encoder(values["x"]).log_prob(-0.2), rtol=1e-12)


def test_hidden_variables_may_be_several_and_follow_each_other(x64):
    """w ~ N(0, 1), z ~ N(w, 1), x ~ N(z, 1): the posterior factorises as p(z | x) p(w | z)."""
    chain = gm.joint(w=dist.Normal(0.0, 1.0), z=lambda w: dist.Normal(w, 1.0), x=lambda z: dist.Normal(z, 1.0))
    exact = gm.joint(
        x=gm.input(gm.Real()),
        z=lambda x: dist.Normal(2.0 / 3.0 * x, (2.0 / 3.0) ** 0.5),
        w=lambda z: dist.Normal(0.5 * z, 0.5**0.5),
    )
    found = log_ratio(Guided(chain, as_guide("here", exact, chain)), jax.random.key(2), {"x": 0.8})
    np.testing.assert_allclose(found, dist.Normal(0.0, 3.0**0.5).log_prob(0.8), rtol=1e-12)


def test_a_guide_on_a_positive_variable_needs_no_jacobian_of_the_user(x64):
    """lam ~ Gamma(2, 1), x ~ Poisson(lam): p(lam | x) = Gamma(2 + x, 2)."""
    counts = gm.joint(lam=dist.Gamma(2.0, 1.0), x=lambda lam: dist.Poisson(lam))
    posterior = gm.joint(x=gm.input(counts.spaces["x"]), lam=lambda x: dist.Gamma(2.0 + x, 2.0))
    learned = Guided(counts, as_guide("here", posterior, counts))
    found = log_ratio(learned, jax.random.key(0), {"x": 3})
    exact = dist.GammaPoisson(2.0, 1.0).log_prob(3)
    np.testing.assert_allclose(found, exact, rtol=1e-10)


def test_which_draws_carry_no_gradient_is_told():
    made = gm.joint(x=gm.input(gm.Real()), z=lambda x: dist.Normal(x, 1.0), k=lambda z: dist.Poisson(jnp.exp(z)))
    assert reparametrised(made, {"x": jnp.zeros(())}) == ["k"]
    assert reparametrised(guide(), {"x": jnp.zeros(())}) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (gm.given("y", lambda y: dist.Normal(y, 1.0)), r"makes one variable, but there is no y"),
        (gm.given("z", "x", lambda z, x: dist.Normal(x, 1.0)), "nothing would be hidden"),
        (lambda x: dist.Normal(x, 1.0), r'a guide is gm.given\("x", encoder\) or a model, not function'),
        (gm.joint(z=dist.Normal(0, 1), x=dist.Normal(0, 1)) * gm.joint(w=dist.Normal(0, 1)), "must be all of them"),
        (gm.joint(w=dist.Normal(0.0, 1.0)), "must be all of them"),
        (gm.energy(lambda z: z**2, z=gm.Real()), "must be"),
        (gm.joint(x=gm.input(gm.Real()), z=lambda x: dist.LogNormal(x, 1.0)), "z lives in Positive.* in the guide"),
    ],
)  # fmt: skip
def test_a_guide_that_does_not_fit_is_named(wrong, message):
    with pytest.raises(gm.SpecError, match=message):
        as_guide("here", wrong, model())


def test_a_guide_must_be_normalised():
    loose = gm.joint(x=gm.input(gm.Real()), z=lambda x: dist.Normal(x, 1.0)) * gm.energy(lambda z: z**2, z=gm.Real())
    with pytest.raises(gm.SpecError, match="the guide must be normalised and drawable"):
        as_guide("here", loose, model())


def test_two_hidden_variables_need_the_long_form():
    two = gm.joint(z=dist.Normal(0.0, 1.0), w=dist.Normal(0.0, 1.0), x=lambda z, w: dist.Normal(z + w, 1.0))
    with pytest.raises(gm.SpecError, match=r"z, w would be hidden.*gm.joint\(x=gm.input"):
        as_guide("here", gm.given("x", lambda x: dist.Normal(x, 1.0)), two)
