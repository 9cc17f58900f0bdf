import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diagnose.lint_rules.derivative import derivative


@pytest.mark.parametrize(
    "energy",
    [
        lambda x: 0.5 * x @ x + jnp.where(x[1] > 0.0, jnp.sqrt(x[1]), 0.0),
        lambda x: 0.5 * x @ x + jnp.where(x[1] < 3.0, 0.0, jnp.sqrt(x[1] - 3.0)),  # the trap is at the starts
        lambda x: (
            0.5 * x @ x + jnp.where(jnp.abs(x[1]) < 5.0, x[1], jnp.log(jnp.abs(x[1]) - 5.0) * jnp.sqrt(x[1] - 5.0))
        ),
    ],
)
def test_a_branch_that_is_not_taken_and_has_no_gradient_is_found(energy):
    found = derivative(gm.energy(energy, x=gm.Real(2)))
    assert found.status == "suspect"
    assert "(x[1])" in found.evidence


def test_a_trap_far_out_is_found_at_an_edge():
    model = gm.energy(lambda x: 0.5 * x @ x + jnp.where(x[0] > 9.0, 0.0, jnp.sqrt(9.0 - x[0])), x=gm.Real(2))
    assert derivative(model).status == "suspect"  # beyond 9, where no start is
    safe = gm.energy(lambda x: 0.5 * x @ x + jnp.sqrt(jnp.where(x[0] > 0.0, x[0], 0.5)), x=gm.Real(2))
    assert derivative(safe).status == "ok"


def test_a_gradient_that_is_finite_and_wrong_is_found():
    stopped = gm.energy(lambda x: 0.5 * x @ x + jax.lax.stop_gradient(jnp.sum(x)), x=gm.Real(2))
    assert "differs from finite differences" in derivative(stopped).evidence
    scaled = gm.joint(s=dist.HalfNormal(1.0), x=lambda s: dist.Normal(0.0, jax.lax.stop_gradient(s)))
    assert derivative(scaled).status == "suspect"


@pytest.mark.parametrize("energy", [lambda x: jnp.abs(x), lambda x: jax.nn.relu(x) + 0.1 * x**2, lambda x: 1e3 * x**4])
def test_a_kink_or_a_steep_wall_is_no_mistake(energy):
    assert derivative(gm.energy(energy, x=gm.Real())).status == "ok"


def test_a_gradient_that_is_infinite_at_one_point_alone_is_a_note():
    model = gm.energy(lambda x: jnp.sum(x**2 + jnp.sqrt(jnp.abs(x))), x=gm.Real(2))
    found = derivative(model)
    assert found.status == "note"
    assert "x[0] = 0" in found.evidence
