import numpy as np
import numpyro.distributions as dist
import optax
import pytest

import gmdsl as gm

DATA = {"x": np.random.default_rng(0).normal(2.0, 0.5, size=500)}
BOWL = gm.energy(lambda x, w, m: 0.5 * w * (x - m) ** 2, x=gm.Real(), w=gm.param(1.0), m=gm.param(0.0))


def covers(scale, seed=0):
    noise = gm.NoiseContrastive(gm.joint(x=dist.Normal(2.0, scale)))
    rate = optax.cosine_decay_schedule(0.05, 1500)
    return gm.check(gm.fit(BOWL, DATA, noise, optimizer=optax.adam(rate), steps=1500, seed=seed, progress=False))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("scale", [0.05, 0.1, 0.2])
def test_noise_that_is_far_too_narrow_is_told(scale, seed):
    found = covers(scale, seed)["noise covers"]
    assert found.status == "suspect"
    assert "wide" in found.advice


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("scale", [0.5, 0.8, 2.0])
def test_noise_as_wide_as_the_data_is_ok(scale, seed):
    found = covers(scale, seed)
    assert found.status == "ok", str(found)


def test_other_objectives_have_no_noise():
    found = gm.check(gm.fit(BOWL, DATA, gm.ContrastiveDivergence(gm.MALA(0.3)), steps=100, progress=False))
    assert "noise covers" not in [finding.name for finding in found.findings]
