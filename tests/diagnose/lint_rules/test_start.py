import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.diagnose.lint_rules.start import start


def test_an_observation_that_no_parameter_allows_is_found_with_its_factor():
    model = gm.joint(a=dist.HalfNormal(1.0), y=lambda a: dist.Uniform(0.0, jax.nn.sigmoid(a)).expand([2]))
    found = start(model.condition(y=np.array([0.2, 3.0])))
    assert found.status == "failed"
    assert "p(y | a)" in found.evidence


def test_a_narrow_support_is_suspect_and_a_usual_one_is_not():
    narrow = gm.energy(lambda x: jnp.where(x > 1.8, 0.5 * x**2, jnp.inf), x=gm.Real())
    assert start(narrow).status == "suspect"
    half = gm.energy(lambda x: jnp.where(x > 0.0, 0.5 * x**2, jnp.inf), x=gm.Real())
    assert start(half).status == "ok"


def test_a_score_that_is_nan_is_told_from_a_log_density_that_is():
    model = gm.energy(lambda x: 0.5 * x**2 + jnp.where(x > 5.0, jnp.sqrt(x - 5.0), 0.0), x=gm.Real())
    found = start(model)
    assert found.status == "failed"
    assert "mostly its score" in found.evidence
