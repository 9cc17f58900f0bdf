import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm

PROCESSES = [gm.VP(), gm.VE(0.05, 20.0), gm.EDM(20.0), gm.Cosine(), gm.Brownian(1.0, t_max=40.0)]


def mixture(process):
    parts = dist.Normal(jnp.array([-2.0, 1.0]), jnp.array([0.4, 0.8]))
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts))
    return gm.noise(model, process)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_with_all_noise_anew_it_is_ddpm(process, x64):
    """The same noise, the same points."""
    flat = mixture(process).flat
    keys = jax.random.split(jax.random.key(3), 20)
    ours = jax.vmap(lambda key: gm.DDIM(eta=1.0, steps=30, grid=gm.KarrasGrid()).draw(key, flat)[0])(keys)
    theirs = jax.vmap(lambda key: gm.DDPM(steps=30, grid=gm.KarrasGrid()).draw(key, flat)[0])(keys)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_without_noise_it_is_the_exponential_step_of_order_one(process, x64):
    """DPMSolver's first step, which has no slope, is that one."""
    flat, key = mixture(process).flat, jax.random.key(1)
    times = (process.t_max, 0.2 * process.t_max, 0.0)
    found = gm.DDIM(steps=2, grid=times).draw(key, flat)[0]
    x = flat.start(jax.random.split(key)[0])
    for t, s in itertools.pairwise(times):
        solver = gm.DPMSolver(width=0.0)
        x = solver.step(flat, x, t, s, solver.init(flat, x))[0]
    np.testing.assert_allclose(found, x, rtol=1e-10)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_draws_of_a_noised_mixture_have_its_law(eta):
    """Kolmogorov-Smirnov distance of 20,000 draws: chance of 0.0163 is 1e-4, bias of the steps 0.02."""
    family = mixture(gm.VP())
    x = gm.sample(family, gm.DDIM(eta=eta, steps=200), draws=20_000, progress=False)["posterior"]["x"].values
    cdf = lambda x: 0.3 * stats.norm.cdf(x, -2.0, 0.4) + 0.7 * stats.norm.cdf(x, 1.0, 0.8)  # noqa: E731
    assert stats.kstest(x.ravel(), cdf).statistic < 0.0163 + 0.02


def test_settings_out_of_range_are_named():
    for eta in (-0.1, 1.5, float("nan")):
        with pytest.raises(gm.SpecError, match=r"DDIM\(eta="):
            gm.DDIM(eta=eta)
    with pytest.raises(gm.SpecError, match=r"DDIM\(grid='cosine'\): a grid is needed"):
        gm.DDIM(grid="cosine")
