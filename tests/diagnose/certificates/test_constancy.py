from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

import gmdsl as gm
from gmdsl.diagnose.certificates.constancy import constancy
from gmdsl.diagnose.certificates.targets import skewed
from tests.diagnose.buggy_samplers import AdaptsForEver, Walk
from tests.diagnose.certificates.small import small


class At(NamedTuple):
    position: Any
    count: Any


class InTurns(gm.Sampler):
    """Moves its coordinates in turns: three kernels, always in the same order."""

    def init(self, key, target, x):
        return At(x, jnp.zeros((), int))

    def position(self, state):
        return state.position

    def step(self, key, target, state):
        key_move, key_accept = jax.random.split(key)
        here = jnp.arange(target.dim) == state.count % target.dim
        proposal = state.position + jnp.where(here, jax.random.normal(key_move), 0.0)
        log_ratio = target.log_density(proposal) - target.log_density(state.position)
        x, stats = gm.metropolis(key_accept, state.position, proposal, log_ratio)
        return At(x, state.count + 1), stats


def test_a_frozen_kernel_makes_early_and_late_moves_alike():
    assert constancy(small(Walk(), skewed)).status == "passed"


def test_a_step_that_goes_on_being_tuned_is_seen():
    row = constancy(small(AdaptsForEver(), skewed))
    assert row.status == "failed"
    assert "length of moves" in row.evidence


@pytest.mark.slow
def test_a_cycle_of_moves_is_one_kernel():
    assert constancy(small(InTurns(), skewed)).status == "passed"
