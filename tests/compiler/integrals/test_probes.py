import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.frame import find_region
from gmdsl.compiler.integrals.integrands import Integrands, point
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


def test_a_look_takes_a_few_times_the_cpu_of_its_evaluations():
    """The points are 1.5 million; what is done with them once cost ten times as much as they do."""

    def spent(run):
        run()  # compiles
        times = []
        for _ in range(3):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
        return min(times)

    with jax.enable_x64(True):
        model = gm.joint(x=dist.Normal(0.0, 1.0), y=dist.Gamma(2.0, 1.0))
        integrands = Integrands(FlatTarget.of(model), Function(lambda v: v["x"] ** 2 * v["y"]))
        region = find_region(integrands)
        frame = region.frame
        u = np.random.default_rng(0).uniform(frame.low, frame.high, size=(2**20, 2))
        bare = 1.5 * spent(lambda: jax.block_until_ready(at_once(integrands, frame, u)))
        look = spent(lambda: probe(integrands, region))
    assert look < 6.0 * bare


def at_once(integrands, frame, u):
    """The logarithms at many points, by one program that does nothing else."""
    return many(integrands.function, integrands.target, frame, u.reshape(-1, 2048, 2))


@functools.partial(jax.jit, static_argnums=0)
def many(function, target, frame, u):
    def one(u):
        height, x = point(target, frame, u)
        return height, jnp.log(jnp.abs(function(target.named(x))))

    return jax.lax.map(jax.vmap(one), u)
