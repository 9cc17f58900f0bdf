import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.diffusion.denoiser import Denoiser
from gmdsl.diffusion.noised import Noised


class Point(Denoiser):
    """All data are one point."""

    place: float = 2.0

    def denoise(self, process, x, t):
        return jnp.full_like(x, self.place)

    def score(self, process, x, t):
        return process.score_of(x, self.denoise(process, x, t), t)


def test_two_methods_make_a_source(x64):
    family = Noised(gm.VP(), Point(), (("x", gm.Real(3)),))
    process, x, t = gm.VP(), np.array([0.5, 1.0, 3.0]), 0.4
    exact = -(x - 2.0 * process.alpha(t)) / process.sigma(t) ** 2
    np.testing.assert_allclose(family.score(x, t), exact, rtol=1e-12)
    np.testing.assert_allclose(family.divergence(x, t), -3.0 / process.sigma(t) ** 2, rtol=1e-10)
    assert family.capabilities().score == "exact"
    assert family.flat.first == process.t_min


def test_what_it_does_not_know_it_does_not_invent():
    source = Point()
    assert source.log_density(gm.VP(), jnp.zeros(1), 0.5) is None
    assert source.frozen(gm.VP(), 0.5, ()) is None
    assert not source.zero_is_finite


def test_a_source_of_ones_own_is_sampled_and_integrated():
    family = Noised(gm.VP(), Point(), (("x", gm.Real()),))
    tree = gm.sample(family, gm.DDPM(steps=20), draws=10, progress=False)
    np.testing.assert_allclose(tree["posterior"]["x"].values, 2.0, rtol=1e-5)


def test_a_source_needs_a_denoiser_and_a_score():
    class Half(Denoiser):
        def denoise(self, process, x, t):
            return x

    with pytest.raises(TypeError, match="score"):
        Half()
