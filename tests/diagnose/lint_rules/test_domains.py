import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

from gmdsl import joint
from gmdsl.diagnose.lint_rules.domains import domains


@pytest.mark.parametrize(
    ("make", "status", "evidence"),
    [
        (lambda a: dist.Poisson(jnp.exp(a)), "ok", "every parameter stays inside"),
        (lambda a: dist.Poisson(a), "suspect", "rate of y at"),
        (lambda a: dist.Binomial(5, probs=0.5 + 0.1 * a), "ok", "at the points that were tried"),
        (lambda a: dist.Categorical(probs=jax.nn.softmax(jnp.stack([a, 0.0]))), "ok", "at the points that were tried"),
    ],
)
def test_parameters_that_leave_their_constraint_are_named(make, status, evidence):
    found = domains(joint(a=dist.Normal(0.0, 1.0), y=make).condition(y=0))
    assert found.status == status
    assert evidence in found.evidence
