import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.frame import find_region
from gmdsl.compiler.integrals.integrands import Integrands
from gmdsl.compiler.integrals.probes import probe
from gmdsl.core.pytrees.function import Function


def probed(model, function=None):
    with jax.enable_x64(True):
        integrands = Integrands(FlatTarget.of(model), None if function is None else Function(function))
        region = find_region(integrands)
        return region.frame, probe(integrands, region)


def test_drawn_points_give_the_integrals_within_their_errors():
    _, found = probed(gm.joint(x=dist.Normal(0.0, 1.0).expand([2])), lambda v: v["x"][0] ** 2)
    size, error = found.sizes()
    assert (np.abs(size * np.exp(found.top) - 1.0) < 4 * error * np.exp(found.top)).all()
    assert (error * np.exp(found.top) < 0.01).all()


def test_a_narrow_mode_beside_a_wide_one_is_found_to_many_digits():
    def energy(x, at):
        return -jnp.logaddexp(-0.5 * x @ x, -0.5e6 * (x - at) @ (x - at) + 2 * jnp.log(1e3))

    frame, found = probed(gm.energy(energy, x=gm.Real(2), at=gm.data(np.array([1.2, 0.7]))))
    new = found.peaks[found.hidden]
    assert len(new)
    np.testing.assert_allclose(
        frame.center + np.sinh(new) @ frame.factor.T, np.tile([1.2, 0.7], (len(new), 1)), atol=1e-5
    )


def test_a_single_wide_mode_hides_no_peak():
    assert not probed(gm.joint(x=dist.StudentT(3.0, 0.0, 1.0).expand([2])))[1].hidden.any()
