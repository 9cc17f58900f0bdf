import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import gmdsl as gm
from gmdsl.results.points import constrained, log_densities, slot_values


@pytest.fixture(scope="module")
def model():
    return gm.joint(
        m=dist.HalfNormal(1.0), v=lambda m: dist.Normal(m, 1.0).expand([2, 3]), y=lambda v: dist.Normal(v, 1.0)
    )


def test_batches_give_the_same_values_as_single_points(model):
    density = gm.compile(model)
    x = np.random.default_rng(0).normal(size=(3, 700, density.dim)).astype(np.float32)  # more than one batch
    values = constrained(density, x)
    for chain, draw in ((0, 0), (1, 333), (2, 650), (2, 699)):
        one = density.constrain(x[chain, draw])
        for name in ("v", "m", "y"):
            np.testing.assert_allclose(values[name][chain, draw], one[name], rtol=1e-6)
    (slot,) = [slot for slot in density.target.slots if slot.name == "m"]
    np.testing.assert_allclose(values["m"], np.exp(x[..., slot.start]), rtol=1e-6)


def test_log_densities_count_the_jacobian_of_each_draw(x64):
    model = gm.joint(v=lambda m: dist.Normal(m, 1.0).expand([2]), m=dist.HalfNormal(1.0))
    density = gm.compile(model)
    x = np.random.default_rng(1).normal(size=(2, 600, 3))  # more than one batch
    (v,), (m,) = ([slot for slot in density.target.slots if slot.name == name] for name in ("v", "m"))
    u, v = slot_values(x, m), slot_values(x, v)
    assert (u.shape, v.shape) == ((2, 600), (2, 600, 2))
    exact = stats.halfnorm.logpdf(np.exp(u)) + u + stats.norm.logpdf(v, np.exp(u)[..., None]).sum(-1)
    np.testing.assert_allclose(log_densities(density, x), exact, rtol=1e-12)
