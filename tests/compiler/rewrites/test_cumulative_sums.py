import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.density import Density
from gmdsl.compiler.rewrites.cumulative_sums import LONGEST, SHORTEST, by_doubling
from gmdsl.compiler.rewrites.rewrite import rewritten

RULES = {"cumsum": by_doubling}


def primitives(function, x):
    return {eqn.primitive.name for eqn in jax.make_jaxpr(rewritten(function, RULES))(x).jaxpr.eqns}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape", [(SHORTEST,), (64,), (100,), (3, 127), (2, 3, 128)])
def test_sums_derivatives_and_batches_are_those_of_the_cumulative_sum(shape, reverse):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), "float32")
    weight = jnp.asarray(np.random.default_rng(1).normal(size=shape), "float32")
    usual = lambda x: jax.lax.cumsum(x, axis=x.ndim - 1, reverse=reverse)  # noqa: E731
    other = rewritten(usual, RULES)
    assert "cumsum" not in primitives(usual, x)
    np.testing.assert_allclose(other(x), usual(x), atol=1e-5)
    curved = lambda f: lambda x: jnp.sum(weight * f(x) ** 2)  # noqa: E731
    np.testing.assert_allclose(jax.grad(curved(other))(x), jax.grad(curved(usual))(x), rtol=1e-4, atol=1e-3)
    tangent = lambda f: jax.jvp(jax.grad(curved(f)), (x,), (weight,))[1]  # noqa: E731
    np.testing.assert_allclose(tangent(other), tangent(usual), rtol=1e-4, atol=1e-2)
    many = jnp.stack([x, 2.0 * x])
    np.testing.assert_allclose(jax.vmap(other)(many), jnp.stack([usual(x), 2.0 * usual(x)]), atol=2e-5)


def test_sums_round_less_than_one_by_one():
    x = jnp.asarray(np.random.default_rng(0).uniform(size=LONGEST), "float32")
    truth = np.cumsum(np.asarray(x, float))
    one_by_one = np.cumsum(np.asarray(x), dtype="float32")
    off = lambda sums: np.abs(np.asarray(sums, float) / truth - 1.0).max()  # noqa: E731
    assert off(rewritten(jnp.cumsum, RULES)(x)) < 0.5 * off(one_by_one)


@pytest.mark.parametrize(
    ("x", "axis"),
    [(jnp.ones(SHORTEST - 1), 0), (jnp.ones(LONGEST + 1), 0), (jnp.ones((50, 2)), 0), (jnp.ones(50, int), 0)],
)
def test_short_and_long_ones_other_axes_and_whole_numbers_stay_as_they_are(x, axis):
    found = rewritten(lambda x: jnp.cumsum(x, axis), RULES)(x)
    np.testing.assert_array_equal(found, jnp.cumsum(x, axis))
    assert "cumsum" in str(jax.make_jaxpr(rewritten(lambda x: jnp.cumsum(x, axis), RULES))(x))


def test_what_is_no_number_stays_where_it_is():
    x = jnp.ones(40).at[7].set(jnp.inf).at[20].set(-jnp.inf)
    np.testing.assert_array_equal(rewritten(jnp.cumsum, RULES)(x), jnp.cumsum(x))


@pytest.mark.usefixtures("cpu")
def test_the_density_of_a_random_walk_adds_by_doubling_and_is_right():
    y = np.random.default_rng(0).normal(size=60).astype("float32")
    model = gm.joint(z=dist.Normal(0.0, 1.0).expand([60]), h=lambda z: jnp.cumsum(z), y=lambda h: dist.Normal(h, 2.0))
    target = Density(model.condition(y=y)).target
    z = np.random.default_rng(1).normal(size=60)
    assert "cumsum" not in str(jax.make_jaxpr(lambda x: target.log_density_and_score(x))(z.astype("float32")))
    lp, score = target.log_density_and_score(jnp.asarray(z, "float32"))
    error = (y - np.cumsum(z)) / 2.0
    truth = -0.5 * (z @ z + error @ error) - 60 * np.log(2.0) - 60 * np.log(2 * np.pi)
    np.testing.assert_allclose(lp, truth, rtol=1e-5)
    np.testing.assert_allclose(score, -z + np.cumsum(error[::-1])[::-1] / 2.0, rtol=1e-4, atol=1e-4)
