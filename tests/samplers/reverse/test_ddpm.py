import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def test_steps_of_any_size_keep_the_law_of_data_that_are_one_point():
    """The bridge is then exact, whatever the grid: x_0 is known. One step, and seven, end at the point."""
    family = gm.noise(np.full((1, 2), 3.0), gm.VP())
    for steps in (1, 7):
        tree = gm.sample(family, gm.DDPM(steps=steps), draws=20, progress=False)
        np.testing.assert_allclose(tree["posterior"]["x"].values, 3.0, rtol=1e-4)


@pytest.mark.parametrize(
    ("process", "power"), [(gm.VP(), 1.0), (gm.EDM(20.0), 3.0), (gm.Brownian(1.0, t_max=40.0), 3.0)],
    ids=lambda p: type(p).__name__,
)  # fmt: skip
def test_draws_of_a_noised_mixture_have_its_law(process, power):
    """Kolmogorov-Smirnov distance of 20,000 draws: chance of 0.0163 is 1e-4, bias of the steps and start 0.01."""
    parts = dist.Normal(jnp.array([-2.0, 1.0]), jnp.array([0.4, 0.8]))
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts))
    family = gm.noise(model, process)
    tree = gm.sample(
        family, gm.DDPM(1000, power), draws=20_000, init=family.at(process.t_max), progress=False
    )  # fmt: skip
    cdf = lambda x: 0.3 * stats.norm.cdf(x, -2.0, 0.4) + 0.7 * stats.norm.cdf(x, 1.0, 0.8)  # noqa: E731
    assert stats.kstest(tree["posterior"]["x"].values.ravel(), cdf).statistic < 0.0163 + 0.01


def test_many_steps_near_the_data_give_the_data_in_single_precision():
    family = gm.noise(gm.joint(x=dist.Normal(0.0, 1.0)), gm.EDM(80.0))
    tree = gm.sample(family, gm.DDPM(1000, 7.0), draws=4000, progress=False)
    x = tree["posterior"]["x"].values.ravel()
    assert stats.kstest(x, stats.norm.cdf).statistic < 1.95 / np.sqrt(len(x)) + 0.01  # false alarms below 1e-3, bias


def test_settings_out_of_range_are_named():
    with pytest.raises(gm.SpecError, match=r"DDPM\(steps=0\)"):
        gm.DDPM(steps=0)
