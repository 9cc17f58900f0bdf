import jax.numpy as jnp
import pytest

import gmdsl as gm
from tests.samplers.reverse.solvers.orders import order


def test_half_the_step_quarters_the_error(x64):
    found, _ = order(gm.EDM(5.0), gm.MySolver(), lambda n: jnp.linspace(5.0, 0.5, n + 1), (200, 400))
    assert found == pytest.approx(2.0, abs=0.15)
