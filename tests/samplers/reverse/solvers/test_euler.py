import jax.numpy as jnp
import pytest

import gmdsl as gm

from .orders import order


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(5.0)], ids=lambda p: type(p).__name__)
def test_half_the_step_halves_the_error(process, x64):
    found, errors = order(process, gm.Euler(), lambda n: jnp.linspace(process.t_max, 0.0, n + 1), (400, 800, 1600))
    assert found == pytest.approx(1.0, abs=0.1)
    assert errors[-1] < 0.02
