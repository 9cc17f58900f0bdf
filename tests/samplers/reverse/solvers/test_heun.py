import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm

from .orders import order


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(5.0)], ids=lambda p: type(p).__name__)
def test_half_the_step_quarters_the_error(process, x64):
    found, errors = order(process, gm.Heun(), lambda n: jnp.linspace(process.t_max, 0.0, n + 1), (400, 800, 1600))
    assert found == pytest.approx(2.0, abs=0.15)
    assert errors[-1] < 1e-4


def test_the_last_step_of_a_score_that_is_not_finite_at_zero_is_one_of_euler(x64):
    flat, x = gm.noise(np.array([[1.0], [2.0]]), gm.VP()).flat, jnp.array([1.4])
    heun, euler = (s.step(flat, x, 0.01, 0.0, ())[0] for s in (gm.Heun(), gm.Euler()))
    np.testing.assert_allclose(heun, euler, rtol=1e-12)
    ahead = gm.Heun().step(flat, x, 0.02, 0.01, ())[0]
    assert abs(float((ahead - gm.Euler().step(flat, x, 0.02, 0.01, ())[0])[0])) > 1e-5


def test_draws_of_a_learned_family_are_finite():
    family = gm.score_model(gm.VP(), gm.nets.TimeMLP(2, width=8, key=jax.random.key(0)), x=gm.Real(2))
    tree = gm.sample(family, gm.ReverseODE(gm.Heun(), steps=10), draws=50, progress=False)
    assert np.abs(tree["posterior"]["x"].values).max() < 100.0
