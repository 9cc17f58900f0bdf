import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def mixture():
    parts = dist.Normal(jnp.array([-2.0, 1.0]), jnp.array([0.4, 0.8]))
    return gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts))


def cdf(x):
    return 0.3 * stats.norm.cdf(x, -2.0, 0.4) + 0.7 * stats.norm.cdf(x, 1.0, 0.8)


@pytest.mark.parametrize(
    ("process", "power"), [(gm.VP(), 1.0), (gm.VE(0.01, 20.0), 1.0), (gm.EDM(20.0), 7.0), (gm.Cosine(), 1.0)],
    ids=lambda p: type(p).__name__,
)  # fmt: skip
def test_draws_of_a_noised_mixture_have_its_law(process, power):
    """Kolmogorov-Smirnov distance of 20,000 draws: chance of 0.0163 is 1e-4 (4 sqrt(1/n) * 0.576), bias 0.01."""
    tree = gm.sample(gm.noise(mixture(), process), gm.ReverseSDE(1000, power), draws=20_000, progress=False)
    found = stats.kstest(tree["posterior"]["x"].values.ravel(), cdf).statistic
    assert found < 0.0163 + 0.01


def test_one_step_is_the_formula(x64):
    """x - f x D + g^2 D s + g sqrt(D) eps, from a start at zero and one at one, with the same key."""
    process = gm.VP(t_max=0.7)
    family = gm.noise(mixture(), process)
    flat, key = family.flat, jax.random.key(5)
    found, stats_ = gm.ReverseSDE(steps=1).draw(key, flat)
    key_start, key_noise = jax.random.split(key)
    x, noise = flat.start(key_start), jax.random.normal(jax.random.fold_in(key_noise, 0), (1,))
    beta = 0.1 + 19.9 * 0.7
    exact = x + 0.5 * beta * x * 0.7 + beta * 0.7 * family.score(x[0], 0.7) + np.sqrt(beta * 0.7) * noise
    np.testing.assert_allclose(found, exact, rtol=1e-9)
    assert stats_ == {}


def test_the_bias_of_the_steps_is_said():
    tree = gm.sample(gm.noise(mixture(), gm.VP()), gm.ReverseSDE(steps=5), draws=10, progress=False)
    assert "finite size" in tree.attrs["bias"]
    assert tree.attrs["sampler"] == "ReverseSDE"


def test_settings_out_of_range_are_named():
    with pytest.raises(gm.SpecError, match=r"ReverseSDE\(steps=0\)"):
        gm.ReverseSDE(steps=0)
    with pytest.raises(gm.SpecError, match=r"ReverseSDE\(power=0\)"):
        gm.ReverseSDE(power=0)
