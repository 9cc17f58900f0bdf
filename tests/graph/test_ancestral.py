import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.graph.ancestral import complete


@pytest.fixture
def model():
    return gm.joint(
        a=dist.Gamma(2.0, 1.0),
        b=lambda a, w: dist.Normal(a * w, 0.5),
        c=lambda b: 2.0 * b,
        w=gm.data(3.0),
    )


def test_draws_have_the_moments_of_the_joint(model):
    n = 40_000
    draws = model.sample(jax.random.key(1), n)
    a, b = np.asarray(draws["a"]), np.asarray(draws["b"])
    # E a = 2, Var a = 2; E b = 6, Var b = 18.25, Cov(a, b) = 6. Limit 4.5 se: false alarms about 2e-5.
    assert abs(a.mean() - 2.0) < 4.5 * np.sqrt(2.0 / n)
    assert abs(b.mean() - 6.0) < 4.5 * np.sqrt(18.25 / n)
    products = (a - 2.0) * (b - 6.0)
    assert abs(products.mean() - 6.0) < 4.5 * products.std() / np.sqrt(n)
    np.testing.assert_allclose(draws["c"], 2.0 * draws["b"], rtol=1e-6)


def test_shapes_come_first(model):
    many = model.sample(jax.random.key(0), (3, 2))
    assert many["b"].shape == (3, 2)
    np.testing.assert_allclose(many["c"], 2.0 * many["b"], rtol=1e-6)
    alone = model.sample(jax.random.key(0))
    assert alone["b"].shape == ()
    np.testing.assert_allclose(alone["c"], 2.0 * alone["b"], rtol=1e-6)
    assert len(np.unique(many["b"])) == 6


def test_what_cannot_be_drawn_says_why(model):
    with pytest.raises(gm.SpecError, match="b is observed below a: draw the posterior with gm.sample"):
        model.condition(b=1.0).sample(jax.random.key(0))


def test_completing_keeps_what_is_known_and_redraws_what_is_asked(model):
    conditioned = model.condition(b=1.0)
    kept = complete(conditioned, jax.random.key(0), {"a": jnp.array(2.0)})
    assert float(kept["b"]) == 1.0
    assert float(kept["c"]) == 2.0
    keys = jax.random.split(jax.random.key(0), 20_000)
    drawn = jax.vmap(lambda k: complete(conditioned, k, {"a": jnp.array(2.0)}, ("b",))["b"])(keys)
    assert abs(float(drawn.mean()) - 6.0) < 4.5 * 0.5 / np.sqrt(20_000)
