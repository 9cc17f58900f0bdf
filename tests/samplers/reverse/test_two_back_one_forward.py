import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def mixture(process):
    parts = dist.Normal(jnp.array([-2.0, 1.0]), jnp.array([0.4, 0.8]))
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts))
    return gm.noise(model, process)


@pytest.mark.parametrize("process", [gm.VP(), gm.Brownian(3.0, t_max=4.0)], ids=lambda p: type(p).__name__)
def test_with_small_steps_it_is_eulers_step_of_the_reverse_equation(process, x64):
    """The same noise; means of squared gaps fall with the step, to the order 1 that Euler's method has."""
    flat, keys = mixture(process).flat, jax.random.split(jax.random.key(0), 20)

    def gap(steps):
        times = tuple(float(t) for t in process.t_max * jnp.linspace(1.0, 0.0, steps + 1))
        two = jax.vmap(lambda key: gm.TwoBackOneForward(steps, grid=times).draw(key, flat)[0])(keys)
        sde = jax.vmap(lambda key: gm.ReverseSDE(steps, grid=times).draw(key, flat)[0])(keys)
        return float(jnp.sqrt(jnp.mean((two - sde) ** 2)))

    coarse, fine = gap(400), gap(1600)
    assert fine < 0.5 * coarse
    assert fine < 0.15


def test_draws_of_a_noised_mixture_have_its_law():
    """Kolmogorov-Smirnov distance of 20,000 draws: chance of 0.0163 is 1e-4, bias of the steps 0.01."""
    family = mixture(gm.VP())
    x = gm.sample(family, gm.TwoBackOneForward(1000), draws=20_000, progress=False)["posterior"]["x"].values
    cdf = lambda x: 0.3 * stats.norm.cdf(x, -2.0, 0.4) + 0.7 * stats.norm.cdf(x, 1.0, 0.8)  # noqa: E731
    assert stats.kstest(x.ravel(), cdf).statistic < 0.0163 + 0.01


def test_settings_out_of_range_are_named():
    with pytest.raises(gm.SpecError, match=r"TwoBackOneForward\(steps=0\)"):
        gm.TwoBackOneForward(steps=0)
