import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.compiler.rewrites.throughout import rewritten_throughout

RULES = {"sin": lambda eqn, given: jnp.cos(given[0])}


def scanned(x):
    return jax.lax.scan(lambda at, _: (jnp.sin(at), jnp.sin(2 * at)), x, length=3)


def looped(x):
    return jax.lax.while_loop(
        lambda at: jnp.sin(at[0]) + at[0] < 4, lambda at: (at[0] + 2, jnp.sin(at[1])), (jnp.float32(0), x)
    )


def branched(x):
    return jax.lax.cond(x[0] > 0, jnp.sin, lambda x: x, x)


def called(x):
    return jax.jit(lambda x: {"there": jax.jit(jnp.sin)(x), "here": x})(x)


def held(x):
    return jax.grad(lambda x: jnp.sum(jax.checkpoint(lambda x: jnp.exp(jnp.sin(x)) * numbers)(x)))(x)


@jax.custom_jvp
def custom(x):
    return jnp.sin(x) + 1


custom.defjvp(lambda x, d: (custom(*x), d[0]))
numbers = np.arange(2.0, dtype="float32")


@pytest.mark.parametrize("function", [scanned, looped, branched, called, held, custom])
def test_the_operation_is_replaced_at_any_depth(function):
    x, ours = jnp.array([0.3, 0.7]), rewritten_throughout(function, RULES)
    assert " sin " in str(jax.make_jaxpr(function)(x))
    assert " sin " not in str(jax.make_jaxpr(ours)(x))
    assert jax.tree.structure(ours(x)) == jax.tree.structure(function(x))


def test_the_values_are_those_of_the_other_operation():
    found = rewritten_throughout(scanned, RULES)(jnp.float32(0.3))[0]
    assert float(found) == pytest.approx(np.cos(np.cos(np.cos(0.3))), rel=1e-6)


def test_what_a_rule_declines_stays_and_so_do_arguments_of_any_shape():
    ours = rewritten_throughout(lambda pair, key: (pair["x"] + jax.random.normal(key), [pair["y"]]), RULES)
    pair, key = {"x": jnp.ones(2), "y": None}, jax.random.key(0)
    assert jax.tree.structure(ours(pair, key)) == jax.tree.structure((1, [None]))
    declined = rewritten_throughout(scanned, {"sin": lambda eqn, given: None})
    np.testing.assert_array_equal(declined(jnp.ones(2))[0], scanned(jnp.ones(2))[0])


def test_a_function_without_such_operations_has_the_equations_it_had():
    function = jax.value_and_grad(lambda x: jnp.sum(jnp.tanh(x) ** 2 * numbers))
    ours = rewritten_throughout(function, {"conv_general_dilated": lambda eqn, given: None})
    x = jnp.ones(2)
    ours, theirs = (jax.jit(f).lower(x).as_text().split("\n", 1)[1] for f in (ours, function))  # without their names
    same = ours == theirs
    assert same
