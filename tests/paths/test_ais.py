import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.flat_path import compile_path


@pytest.fixture
def path():
    """N(2, 1/4) without its constant, from N(0, 1): log Z = log sqrt(2 pi / 4)."""
    return gm.temper(gm.energy(lambda x: 2.0 * (x - 2.0) ** 2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 1.0)))


EXACT = 0.5 * np.log(2 * np.pi * 0.25)


@pytest.mark.parametrize("move", [gm.MALA(), gm.HMC(steps=3), gm.RandomWalk(), gm.NUTS(max_tree_depth=3)])
def test_any_exact_sampler_moves_the_particles(path, move):
    found = gm.log_z(path, gm.AIS(move, particles=600, temperatures=25))
    assert found.standard_error < 0.1
    assert abs(found.log_z - EXACT) < 4.5 * found.standard_error


def test_the_pilot_brings_acceptance_near_its_target(path):
    sampler = gm.AIS(gm.MALA(step_size=100.0), particles=500, temperatures=30, pilot=200)
    population = sampler.run(jax.random.key(0), compile_path(path))
    assert abs(float(population.acceptance[5:].mean()) - 0.574) < 0.12
    untuned = gm.AIS(gm.MALA(step_size=100.0), particles=500, temperatures=30, pilot=0)
    assert float(untuned.run(jax.random.key(0), compile_path(path)).acceptance[5:].mean()) < 0.1


def test_the_curve_ends_at_the_estimate_and_begins_at_zero(path):
    found = gm.log_z(path, gm.AIS(gm.MALA(), particles=300, temperatures=10))
    np.testing.assert_allclose(found.curve["log_z"][[0, -1]], [0.0, found.log_z], atol=1e-4)
    assert found.curve["betas"][[0, -1]].tolist() == [0.0, 1.0]


def test_more_temperatures_leave_more_weights(path):
    sizes = [gm.log_z(path, gm.AIS(gm.MALA(), particles=500, temperatures=n)).ess for n in (2, 40)]
    assert sizes[1] > 1.5 * sizes[0]


def test_a_biased_move_and_settings_out_of_range_are_refused():
    with pytest.raises(gm.SpecError, match="Take an exact kernel"):
        gm.AIS(gm.Langevin(0.1))
    with pytest.raises(gm.SpecError, match="particles=1"):
        gm.AIS(gm.MALA(), particles=1)
    assert jnp.isfinite(EXACT)
