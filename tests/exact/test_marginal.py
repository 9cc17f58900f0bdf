import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.exact.gaussian.from_model import gaussian_mixture
from gmdsl.exact.marginal import accounts


def chain():
    return gm.joint(
        scale=gm.param(2.0, gm.Positive()),
        z=lambda scale: dist.Normal(0.0, scale),
        x=lambda z: dist.Normal(z, 1.0),
        y=lambda z: dist.Normal(-z, 1.0),
    )


def test_a_marginal_is_named_by_what_is_left_and_says_what_was_done():
    model = chain().marginalize("z")
    assert [factor.name for factor in model.factors] == ["p(x, y | scale)"]
    assert accounts(model) == ("z: integrated out, linear-Gaussian",)


def test_a_hidden_name_is_bound_and_free_to_be_used_again(x64):
    hidden = chain().marginalize("z")
    both = hidden * gm.joint(z=dist.Normal(5.0, 1.0))
    point = {"x": 0.3, "y": 0.1}
    alone = gm.compile(hidden).log_density(point)
    truth = alone + stats.norm.logpdf(4.0, 5.0)
    np.testing.assert_allclose(gm.compile(both).log_density({**point, "z": 4.0}), truth, rtol=1e-12)
    renamed = hidden.rename(x="z", scale="width")
    np.testing.assert_allclose(gm.compile(renamed).log_density({"z": 0.3, "y": 0.1}), alone, rtol=1e-12)


def test_parameters_that_are_read_stay_outside_and_are_learned(x64):
    model = gm.joint(
        scale=gm.param(0.5, gm.Positive()), z=lambda scale: dist.Normal(0.0, scale), x=lambda z: dist.Normal(z, 1.0)
    ).marginalize("z")
    x = 3.0 * np.random.default_rng(0).standard_normal(2000)
    import optax

    objective, adam = gm.MaximumLikelihood(), optax.adam(0.05)
    fit = gm.fit(model, {"x": x}, objective, optimizer=adam, steps=300, batch_size=2000, seed=0, progress=False)
    np.testing.assert_allclose(fit.model.params["scale"].value, np.sqrt(np.mean(x**2) - 1.0), rtol=0.02)


def test_the_rest_is_not_drawn_given_a_part():
    factor = chain().marginalize("z").factors[0]
    drawn = factor.draw(jax.random.key(0), {"scale": 2.0}, (3,))
    assert {name: value.shape for name, value in drawn.items()} == {"x": (3,), "y": (3,)}
    with pytest.raises(gm.SpecError, match="cannot be drawn given x, because z was marginalised"):
        factor.draw(jax.random.key(0), {"scale": 2.0, "x": jnp.array(1.0)})
    assert not chain().marginalize("z").condition(x=1.0).capabilities().drawable


def test_marginals_are_recognised_as_gaussian_mixtures(x64):
    labels = gm.joint(
        k=dist.Categorical(np.array([0.2, 0.8])),
        m=gm.data(np.array([-1.0, 2.0])),
        z=lambda k, m: dist.Normal(m[k], 1.0),
        x=lambda z, k: dist.Normal(2.0 * z, 1.0 + k),
    )
    form = gaussian_mixture(labels.marginalize("k", "z"))
    np.testing.assert_allclose(jnp.exp(form.log_weights), [0.2, 0.8], rtol=1e-6)
    np.testing.assert_allclose(form.means, [[-2.0], [4.0]])
    np.testing.assert_allclose(form.covariances, [[[5.0]], [[8.0]]])
    assert accounts(labels.marginalize("k", "z")) == ("k: summed out, 2 states", "z: integrated out, linear-Gaussian")


def test_an_energy_with_hidden_states_is_an_energy_of_the_rest(x64):
    model = gm.energy(lambda x, s: (x - s) ** 2, x=gm.Real(), s=gm.Spin()).marginalize("s").rename(x="y")
    assert [factor.name for factor in model.factors] == ["marginal(y)"]
    assert "unnormalised" in model.capabilities().reasons["normalized"]
    truth = np.logaddexp(-((0.3 - 1.0) ** 2), -((0.3 + 1.0) ** 2))
    density = gm.compile(model)
    np.testing.assert_allclose(density.log_density({"y": 0.3}), truth, rtol=1e-12)
    np.testing.assert_allclose(density.target.log_density(jnp.array([0.3])), truth, rtol=1e-12)
