import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm

from .orders import log_snr_grid, order


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(5.0)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize(("stated", "counts"), [(1, (160, 320)), (2, (80, 160)), (3, (80, 160)), (4, (160, 320))])
def test_the_error_falls_with_the_stated_order(process, stated, counts, x64):
    found, errors = order(process, gm.DEIS(stated), log_snr_grid(process), counts)
    assert found == pytest.approx(stated, abs=0.25)
    assert errors[-1] < 0.05


@pytest.mark.parametrize("process", [gm.VP(), gm.EDM(5.0), gm.Brownian(2.0)], ids=lambda p: type(p).__name__)
def test_the_flow_of_one_datum_is_exact_in_any_number_of_steps(process, x64):
    """The expected noise is then constant along the flow."""
    flat, x = gm.noise(np.array([[2.0]]), process).flat, jnp.array([0.7])
    solver = gm.DEIS(3)
    at = (x, solver.init(flat, x))
    for t, s in ((1.0, 0.6), (0.6, 0.5), (0.5, 0.1), (0.1, 0.0)):
        at = solver.step(flat, at[0], t * process.t_max, s * process.t_max, at[1])
    np.testing.assert_allclose(at[0], 2.0, rtol=1e-9)


def test_an_order_that_there_is_not_is_named():
    with pytest.raises(gm.SpecError, match=r"DEIS\(order=5\): one of 1, 2, 3, 4 is needed"):
        gm.DEIS(5)
