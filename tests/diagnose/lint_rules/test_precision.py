import jax
import jax.numpy as jnp
import pytest

import gmdsl as gm
from gmdsl.diagnose.lint_rules.precision import precision


@pytest.mark.parametrize(
    "energy",
    [
        lambda x: 1e8 + 0.5 * x @ x,  # eight digits are used up by the constant
        lambda x: jax.lax.optimization_barrier(1e8 + 0.5 * x @ x) - 1e8,  # fenced, or XLA may take both away
        lambda x: 0.5 * jnp.sum((x + 3e4) ** 2) - 3e4 * jnp.sum(x) - 9e8,  # large terms cancel
    ],
)
def test_digits_that_cancel_are_found(energy):
    found = precision(gm.energy(energy, x=gm.Real(2)))
    assert found.status == "suspect"


def test_a_large_log_density_alone_is_not_blamed():
    assert precision(gm.energy(lambda x: 1e4 + 0.5 * x @ x, x=gm.Real(2))).status == "ok"
    assert precision(gm.energy(lambda x: 1e6 * x @ x, x=gm.Real(2))).status == "ok"  # narrow, not cancelling


def test_in_double_precision_there_is_nothing_to_say(x64):
    assert precision(gm.energy(lambda x: 1e8 + 0.5 * x @ x, x=gm.Real(2))).status == "ok"
