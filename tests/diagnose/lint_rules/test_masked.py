"""The finding "masked elements", and a forgotten prior beside them."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import gmdsl as gm

Y = np.array([1.0, 0.0, -0.5])
SEEN = np.array([True, False, True])


def declared():
    def observed_in_part(y, seen):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y, obs_mask=seen)

    return gm.from_numpyro_model(observed_in_part, jnp.asarray(Y), jnp.asarray(SEEN))


def test_lint_tells_and_a_prior_that_was_forgotten_is_still_failed():
    found = gm.lint(declared())
    assert found["masked elements"].status == "note"
    said = "y_unobserved[0], y_unobserved[2]: masked, no density; not examined; the imputed values are in `y`"
    assert found["masked elements"].evidence == said
    assert gm.lint(gm.joint(x=dist.Normal(0.0, 1.0)))["masked elements"].status == "ok"
    assert found["proper density"].status == "ok"

    def flat(y, seen):
        mu = numpyro.sample("mu", dist.ImproperUniform(dist.constraints.real, (), ()))
        numpyro.sample("b", dist.ImproperUniform(dist.constraints.real, (), ()))
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y, obs_mask=seen)

    model = gm.from_numpyro_model(flat, jnp.asarray(Y), jnp.asarray(SEEN))
    said = gm.lint(model)["proper density"]
    assert said.status == "failed"
    assert "+b" in said.evidence
    assert "y_unobserved" not in said.evidence
    tree = gm.sample(model, gm.NUTS(max_tree_depth=6), draws=200, warmup=200, progress=False)
    assert gm.check(tree, model).status == "failed"
