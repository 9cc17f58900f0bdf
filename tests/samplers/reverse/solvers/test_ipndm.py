import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm

from .orders import family, log_snr_grid, order, order_from_exact_values


@pytest.mark.parametrize("stated", [1, 3, 4])
def test_on_steps_that_are_equal_in_the_noise_the_order_is_as_stated(stated, x64):
    """With exact values before the first step, whose lower order would be seen else."""
    flat = family(gm.EDM(5.0)).flat
    equal = lambda n: jnp.linspace(5.0, 0.5, n + 1)  # noqa: E731
    found, errors = order_from_exact_values(flat, gm.IPNDM(stated), equal, (320, 640), stated - 1)
    assert found == pytest.approx(stated, abs=0.25)
    assert errors[-1] < 0.05


@pytest.mark.parametrize("stated", [2, 4])
def test_on_other_grids_it_is_two(stated, x64):
    found, _ = order(gm.VP(), gm.IPNDM(stated), log_snr_grid(gm.VP()), (320, 640))
    assert found == pytest.approx(2.0, abs=0.25)


def test_the_flow_of_one_datum_is_exact_in_any_number_of_steps(x64):
    """The expected noise is then constant along the flow."""
    flat, x = gm.noise(np.array([[2.0]]), gm.VP()).flat, jnp.array([0.7])
    solver = gm.IPNDM(4)
    at = (x, solver.init(flat, x))
    for t, s in ((1.0, 0.6), (0.6, 0.5), (0.5, 0.1), (0.1, 0.0)):
        at = solver.step(flat, at[0], t, s, at[1])
    np.testing.assert_allclose(at[0], 2.0, rtol=1e-9)


def test_an_order_that_there_is_not_is_named():
    with pytest.raises(gm.SpecError, match=r"IPNDM\(order=0\): one of 1, 2, 3, 4 is needed"):
        gm.IPNDM(0)
