import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def mixture(process):
    parts = dist.Normal(jnp.array([-2.0, 1.0]), jnp.array([0.4, 0.8]))
    return gm.noise(
        gm.joint(x=dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.3, 0.7])), parts)), process
    )  # fmt: skip


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(20.0), gm.VE(0.02, 20.0)], ids=lambda p: type(p).__name__)
def test_it_ends_where_many_small_steps_end(process, x64):
    """Of the same starts; errors of single steps add up to a few dozen times the tolerance."""
    family = mixture(process)
    tree = gm.sample(family, gm.AdaptiveODE(1e-6, 1e-6), draws=50, progress=False)
    fine = gm.sample(family, gm.ReverseODE(gm.UniPC(3), steps=400), draws=50, progress=False)
    np.testing.assert_allclose(tree["posterior"]["x"].values, fine["posterior"]["x"].values, atol=6e-5)
    steps = tree["sample_stats"]["n_steps"].values
    assert (steps > 5).all()
    assert (steps < 300).all()


def test_a_looser_tolerance_takes_fewer_steps():
    family = mixture(gm.VP())
    counts = [
        gm.sample(family, gm.AdaptiveODE(tol, tol), draws=50, progress=False)["sample_stats"]["n_steps"].values.mean()
        for tol in (1e-2, 1e-5)
    ]
    assert counts[0] < 0.5 * counts[1]


def test_settings_out_of_range_are_named():
    with pytest.raises(gm.SpecError, match=r"AdaptiveODE\(rtol=0.0\)"):
        gm.AdaptiveODE(rtol=0.0)
