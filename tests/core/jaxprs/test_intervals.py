import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.jaxprs.intervals import ANYTHING, INF, Bounds, bounds_in, of_array

POSITIVE, UNIT = Bounds(0.0, INF, True), Bounds(0.0, 1.0, True)
CASES = [
    (jnp.exp, ANYTHING, (0.0, INF, True)),
    (jax.nn.softplus, ANYTHING, (0.0, INF, True)),
    (jax.nn.sigmoid, ANYTHING, (0.0, 1.0, True)),
    (jax.nn.softmax, ANYTHING, (0.0, INF, True)),
    (jax.nn.relu, ANYTHING, (0.0, INF, False)),
    (jnp.abs, ANYTHING, (0.0, INF, False)),
    (lambda x: x * x, ANYTHING, (0.0, INF, False)),
    (lambda x: (x**2).sum() + 0.5, ANYTHING, (0.5, INF, False)),
    (lambda x: jnp.clip(x, 0.25, 0.75), ANYTHING, (0.25, 0.75, False)),
    (lambda x: jnp.where(x > 0, x, 1.0), POSITIVE, (0.0, INF, False)),
    (lambda x: 1.0 / x, POSITIVE, (0.0, INF, True)),
    (lambda x: x**-0.5, POSITIVE, (0.0, INF, True)),
    (lambda x: jnp.cumsum(x) @ x, POSITIVE, (0.0, INF, True)),
    (lambda x: 1.0 - x, UNIT, (0.0, 1.0, True)),
    (lambda x: x * (1.0 - x), UNIT, (0.0, 1.0, True)),
    (lambda x: 2.0 - 3.0 * x, UNIT, (-1.0, 2.0, True)),
    (lambda x: jnp.log(x), UNIT, (-INF, 0.0, True)),
    (lambda x: jnp.minimum(x, 0.5), UNIT, (0.0, 0.5, False)),
    (lambda x: x - 1.0, POSITIVE, (-1.0, INF, True)),
    (lambda x: x / (x - 0.5), UNIT, (-INF, INF, False)),
    (lambda x: jax.jit(lambda y: y + 1.0)(x), UNIT, (1.0, 2.0, True)),
]


def bounds_of(function, given):
    return bounds_in(jax.make_jaxpr(function)(jnp.zeros(3)), [given])


@pytest.mark.parametrize(("function", "given", "expected"), CASES)
def test_bounds_of_functions(function, given, expected):
    assert bounds_of(function, given) == [Bounds(*expected)]


@pytest.mark.parametrize(("function", "given"), [(f, b) for f, b, _ in CASES])
def test_no_value_is_outside_of_the_bounds(x64, function, given):
    rng = np.random.default_rng(0)
    low, high = max(given.low, -30.0), min(given.high, 30.0)
    (found,) = bounds_of(function, given)
    values = np.asarray(jax.vmap(function)(rng.uniform(low, high, (1000, 3))))
    assert (values >= found.low - 1e-12).all()
    assert (values <= found.high + 1e-12).all()


def test_what_is_not_known_is_anything():
    assert bounds_of(lambda x: jnp.linalg.cholesky(jnp.outer(x, x)), POSITIVE) == [ANYTHING]
    assert of_array(np.array([np.nan, 1.0])) == ANYTHING
    assert of_array(np.array([2.0, 1.0])) == Bounds(1.0, 2.0)


def test_openness_tells_a_bound_that_is_not_reached():
    assert POSITIVE.above(0.0, strictly=True)
    assert not Bounds(0.0, INF).above(0.0, strictly=True)
    assert Bounds(0.0, INF).above(0.0, strictly=False)
    assert UNIT.below(1.0, strictly=True)
    assert not UNIT.below(0.5, strictly=False)
