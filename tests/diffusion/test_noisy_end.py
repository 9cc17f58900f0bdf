import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diffusion.noisy_end import nats_from_gaussian

APART = gm.mixture([0.6, 0.4], gm.joint(x=dist.Normal(4.0, 0.5)), gm.joint(x=dist.Normal(-4.0, 0.5)))
SHORT = {"brownian": gm.Brownian(3.0), "ve": gm.VE(sigma_max=3.0), "edm": gm.EDM(3.0)}


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_a_shift_has_the_divergence_of_two_gaussians(shift, x64):
    family = gm.noise(gm.joint(x=dist.Normal(shift, 1e-4)), gm.Brownian(2.0))
    np.testing.assert_allclose(nats_from_gaussian(family.flat), 0.5 * (shift / 2.0) ** 2, atol=1e-6)


@pytest.mark.parametrize("process", SHORT)
def test_a_known_family_whose_end_is_far_says_so_and_takes_its_law(process):
    """Draws from the Gaussian of the process have mean 0.44."""
    family = gm.noise(APART, SHORT[process])
    with pytest.warns(UserWarning, match=r"about 0\.\d+ nats from the Gaussian.*init=, family.at\(t_max\)"):
        tree = gm.sample(family, gm.ReverseODE(steps=60), draws=500, progress=False)
    assert gm.check(tree, family)["noisy end"].status == "suspect"
    start = family.at(family.process.t_max)
    x = gm.sample(family, gm.ReverseODE(steps=60), draws=8000, init=start, progress=False)["posterior"]["x"].values
    assert abs(x.mean() - 0.8) < 4.5 * np.sqrt(4**2 * 0.96 + 0.25) / np.sqrt(8000)
    assert abs((x > 0).mean() - 0.6) < 4.5 * np.sqrt(0.24 / 8000)


@pytest.mark.parametrize("process", SHORT)
def test_the_likelihood_of_such_a_family_says_so_too(process, x64):
    x = np.array([4.3, -4.0, 3.1, -5.2])
    family = gm.noise(APART, SHORT[process])
    with pytest.warns(UserWarning, match=r"nats from the Gaussian.*prior=, family.at"):
        gm.log_likelihood(family, x)
    found = gm.log_likelihood(family, x, prior=family.at(family.process.t_max))
    density = gm.compile(APART)
    np.testing.assert_allclose(found, [density.log_density({"x": value}) for value in x], atol=5e-3)


def test_an_end_that_is_near_to_its_gaussian_is_that():
    for process in (gm.VP(), gm.VE(), gm.EDM(), gm.Cosine()):
        assert nats_from_gaussian(gm.noise(APART, process).flat) < 1e-3


def constant(x, level):
    return jnp.full_like(x, 3.0)


def test_a_learned_family_says_how_far_its_end_is():
    family = gm.score_model(gm.Brownian(3.0), constant, x=gm.Real(2))
    with pytest.warns(UserWarning, match=r"Brownian.* is about 0\.\d+ nats from the Gaussian.*larger sigma.*init="):
        tree = gm.sample(family, gm.ReverseODE(steps=10), draws=200, progress=False)
    found = gm.check(tree)
    assert found.status == "suspect"
    assert "nats" in found["noisy end"].evidence
    with pytest.warns(UserWarning, match="nats from the Gaussian.*prior="):
        gm.log_likelihood(family, np.zeros((1, 2)))
    given = gm.sample(
        family, gm.ReverseODE(steps=10), init=gm.joint(x=dist.Normal(2.8, 3.0).expand([2])), progress=False
    )
    assert "noisy end" not in gm.check(given)


def test_a_learned_family_with_enough_noise_says_nothing():
    family = gm.score_model(gm.Brownian(3.0, t_max=400.0), constant, x=gm.Real(2))
    assert "noisy end" not in gm.check(gm.sample(family, gm.ReverseODE(steps=10), draws=200, progress=False))
