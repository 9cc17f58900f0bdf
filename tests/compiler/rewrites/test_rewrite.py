import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.rewrites.rewrite import rewritten

SINE = {"sin": lambda eqn, given: jnp.cos(given[0])}
X = jnp.arange(3.0)


def test_a_rule_is_used_wherever_its_operation_is_called():
    inner = jax.jit(lambda x: jnp.sin(x) + 1.0)
    other = rewritten(lambda x: {"a": inner(x) * jnp.sin(2.0 * x), "b": (x, 3.0)}, SINE)
    found = other(X)
    np.testing.assert_allclose(found["a"], (np.cos(X) + 1.0) * np.cos(2.0 * X), rtol=1e-6)
    np.testing.assert_array_equal(found["b"][0], X)
    assert found["b"][1] == 3.0


def test_derivatives_and_batches_are_those_of_the_other_operation():
    other = rewritten(lambda x: jnp.sum(jnp.sin(x)), SINE)
    np.testing.assert_allclose(jax.grad(other)(X), -np.sin(X), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(other))(X[:, None]), np.cos(X), rtol=1e-6)


def test_a_rule_may_leave_an_operation_as_it_is():
    rules = {"sin": lambda eqn, given: None}
    np.testing.assert_allclose(rewritten(jnp.sin, rules)(X), np.sin(X), rtol=1e-6)


def test_loops_and_declared_derivatives_are_not_entered():
    @jax.custom_jvp
    def twice(x):
        return 2.0 * jnp.sin(x)

    twice.defjvp(lambda primals, tangents: (twice(primals[0]), 7.0 * tangents[0]))
    loop = lambda x: jax.lax.fori_loop(0, 2, lambda i, x: jnp.sin(x), x)  # noqa: E731
    other = rewritten(lambda x: jnp.sum(twice(x) + loop(x)) + 0.0 * jnp.sum(jnp.sin(x)), SINE)
    np.testing.assert_allclose(other(X), np.sum(2.0 * np.sin(X) + np.sin(np.sin(X))), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda x: rewritten(lambda x: jnp.sum(twice(x)), SINE)(x))(X), 7.0)


def test_a_function_without_such_operations_is_called_as_it_is():
    np.testing.assert_array_equal(rewritten(jnp.exp, SINE)(X), jnp.exp(X))
