import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.adapt.inner_step import InnerStep


def test_the_logarithm_of_the_step_moves_by_what_the_acceptance_misses():
    inner = InnerStep(gm.MALA(step_size=0.2, target_accept=0.6))
    first = inner.first()
    np.testing.assert_allclose(first, np.log(0.2), rtol=1e-6)
    np.testing.assert_allclose(inner.tuned(first, jnp.float32(0.9)), np.log(0.2) + 0.3, rtol=1e-6)
    np.testing.assert_allclose(inner.tuned(first, jnp.float32(0.1), 0.5), np.log(0.2) - 0.25, rtol=1e-6)
    assert float(inner.tuned(first, jnp.float32(0.6))) == pytest.approx(np.log(0.2))
    moved = inner.at(jnp.log(0.05))
    np.testing.assert_allclose(moved.step_size, 0.05, rtol=1e-6)
    assert moved.adapts == inner.sampler.adapts


def test_a_sampler_without_a_rule_for_its_step_keeps_its_settings():
    inner = InnerStep(gm.Langevin(0.1))
    assert inner.rule is None
    assert float(inner.first()) == 0.0
    assert inner.at(jnp.float32(3.0)) is inner.sampler
    assert float(inner.tuned(jnp.float32(3.0), jnp.float32(0.0))) == 3.0
