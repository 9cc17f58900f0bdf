import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.jaxprs.first_differences import FAR, first_differences, has_differences

RNG = np.random.default_rng(0)
PAIRS, TABLE, ROW = RNG.normal(size=(6, 6)), RNG.normal(size=(3, 3)), RNG.normal(size=5)


def whole(x):
    """Labels as a compiled model reads them."""
    return jnp.round(x).astype(int)


def everywhere(function, x, values):
    """The differences, one evaluation for each value of each label."""
    before = function(x)
    return np.array([[function(x.at[i].set(v)) - before for v in values[:, i]] for i in range(x.size)])


def labels(most, dim):
    values = jnp.arange(float(most))[:, None] * jnp.ones(dim)
    return jnp.asarray(RNG.integers(0, most, dim), float), values


def spins(x):
    return 2 * whole(x) - 1


def grid(x):
    return whole(x).reshape(3, 3)


def tables(x):
    k = whole(x)
    return jnp.sum(jnp.asarray(TABLE)[k[1:], k[:-1]]) + jnp.sum(jnp.asarray(ROW)[k])


def indicators(x):
    z = jax.nn.one_hot(whole(x), 3)
    return jnp.sum((z @ TABLE)[1:] * z[:-1])


def put(x):
    return jnp.sum(jnp.ones(5).at[jnp.array([0, 2, 4])].set(whole(x)) * jnp.arange(5.0))


def joined(x):
    return jnp.sum(jnp.pad(jnp.concatenate([whole(x), jnp.array([2])]), 1) ** 3 * jnp.arange(7))


EXACT = {  # values of each label, labels, function
    "neighbours": (2, 9, lambda x: 0.3 * jnp.sum((2 * grid(x) - 1) * jnp.roll(2 * grid(x) - 1, 1, 0))),
    "neighbours as floats": (2, 9, lambda x: jnp.sum(1.0 * spins(x)[1:] * spins(x)[:-1])),
    "a matrix without diagonal": (2, 6, lambda x: spins(x) @ jnp.triu(jnp.asarray(PAIRS), 1) @ spins(x)),
    "equal neighbours": (3, 9, lambda x: 0.5 * jnp.sum(grid(x) == jnp.roll(grid(x), 1, 1))),
    "tables": (3, 5, tables),
    "indicators": (3, 5, indicators),
    "a curve of each": (4, 3, lambda x: jnp.sum(jnp.exp(0.3 * whole(x)) + jax.scipy.special.gammaln(whole(x) + 1.0))),
    "the same twice": (3, 4, lambda x: jnp.sum(whole(x) * (2 - whole(x)) + jax.scipy.special.xlogy(whole(x), 0.3))),
    "a part put into a whole": (2, 3, put),
    "padded and joined": (3, 4, joined),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", EXACT)
def test_sums_of_local_terms_have_exact_differences(name):
    most, dim, function = EXACT[name]
    x, values = labels(most, dim)
    found = jax.jit(lambda x: first_differences(function, x, values))(x)
    np.testing.assert_allclose(found, everywhere(function, x, values), atol=1e-12)
    assert has_differences(function, dim)


@pytest.mark.usefixtures("x64")
def test_what_comes_after_a_sum_is_differentiated():
    x, values = labels(2, 6)
    weights = jnp.asarray(PAIRS)
    found = first_differences(lambda x: jnp.sum(jax.nn.softplus(whole(x) @ weights)), x, values)
    slope = jax.grad(lambda v: jnp.sum(jax.nn.softplus(v @ weights)))(x)
    np.testing.assert_allclose(found, slope[:, None] * (values.T - x[:, None]), atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_whole_numbers_are_lifted_through_sums():
    x, values = labels(2, 5)
    found = first_differences(lambda x: 0.1 * jnp.sum(whole(x)) ** 2, x, values)
    np.testing.assert_allclose(found, 0.2 * x.sum() * (values.T - x[:, None]), atol=1e-12)


def test_values_without_probability_are_far():
    x, values = jnp.zeros(2), jnp.arange(3.0)[:, None] * jnp.ones(2)
    found = first_differences(lambda x: jnp.sum(jnp.where(whole(x) == 1, -jnp.inf, 0.0)), x, values)
    assert found.tolist() == [[0.0, -FAR, 0.0]] * 2
    found = first_differences(lambda x: jnp.sum(jnp.where(whole(x) == 1, jnp.nan, 0.0)), x, values)
    assert found.tolist() == [[0.0, -FAR, 0.0]] * 2


def test_what_gives_no_differences_is_told():
    assert not has_differences(lambda x: jnp.where(jnp.sum(whole(x)) == 1, 0.0, 1.0), 3)
    assert not has_differences(lambda x: 1.0 * jnp.argmax(whole(x)), 3)
    assert has_differences(lambda x: jnp.where(jnp.sum(whole(x)) == 1, 0.0, 1.0) + 1.0 * whole(x)[0], 3)
