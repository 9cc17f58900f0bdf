import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm


def mixture(process):
    parts = dist.Normal(jnp.array([-2.0, 1.0]), jnp.array([0.4, 0.8]))
    model = gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts))
    return gm.noise(model, process)


def test_without_churn_it_is_heuns_method(x64):
    """On the process of EDM, where the velocity is (x - D) / t."""
    flat, times = mixture(gm.EDM(20.0)).flat, tuple(float(t) for t in 20.0 * np.linspace(1.0, 0.0, 9) ** 3)
    keys = jax.random.split(jax.random.key(0), 10)
    ours = jax.vmap(lambda key: gm.EDMChurn(8, churn=0.0, grid=times).draw(key, flat)[0])(keys)

    def heun(key):
        x, solver = flat.start(jax.random.split(key)[0]), gm.Heun()
        for t, s in itertools.pairwise(times[:-1]):
            x = solver.step(flat, x, t, s, ())[0]
        return flat.denoise(x, times[-2])  # Euler's step to no noise

    np.testing.assert_allclose(ours, jax.vmap(heun)(keys), rtol=1e-6)


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(20.0), gm.Rectified()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("churn", [20.0])
def test_draws_of_a_noised_mixture_have_its_law(process, churn):
    """Kolmogorov-Smirnov distance of 20,000 draws: chance of 0.0163 is 1e-4, bias of the steps and start 0.01."""
    family = mixture(process)
    generator = gm.EDMChurn(100, churn=churn)
    tree = gm.sample(family, generator, draws=20_000, init=family.at(process.t_max), progress=False)
    cdf = lambda x: 0.3 * stats.norm.cdf(x, -2.0, 0.4) + 0.7 * stats.norm.cdf(x, 1.0, 0.8)  # noqa: E731
    assert stats.kstest(tree["posterior"]["x"].values.ravel(), cdf).statistic < 0.0163 + 0.01


def test_noise_is_added_between_the_levels_alone(x64):
    """With none between them, churn changes nothing."""
    flat, key = mixture(gm.EDM(20.0)).flat, jax.random.key(1)
    one, other = (gm.EDMChurn(20, churn=churn, between=(30.0, 40.0)).draw(key, flat)[0] for churn in (0.0, 8.0))
    np.testing.assert_allclose(one, other, rtol=1e-12)
    assert not np.allclose(gm.EDMChurn(20, churn=8.0).draw(key, flat)[0], one)


def test_settings_out_of_range_are_named():
    with pytest.raises(gm.SpecError, match=r"EDMChurn\(churn=-1"):
        gm.EDMChurn(churn=-1.0)
    with pytest.raises(gm.SpecError, match=r"EDMChurn\(between="):
        gm.EDMChurn(between=(2.0, 1.0))
    with pytest.raises(gm.SpecError, match=r"EDMChurn\(between=3.0\)"):
        gm.EDMChurn(between=3.0)
