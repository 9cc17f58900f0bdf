import functools

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.function import Constant, Function, arguments, captured

SCALE = 2.0
TABLE = np.ones(3)


def make(shift):
    return lambda x: x + shift


def test_the_same_lambda_made_twice_is_one_function():
    assert Function(make(1.0)) == Function(make(1.0))
    assert hash(Function(make(1.0))) == hash(Function(make(1.0)))


def test_another_closure_value_is_another_function():
    assert Function(make(1.0)) != Function(make(2.0))
    assert Function(make(1)) != Function(make(1.0))


def test_a_closed_over_array_counts_by_content():
    assert Function(make(np.ones(3))) == Function(make(np.ones(3)))
    assert Function(make(np.ones(3))) != Function(make(np.array([1.0, 1.0, 2.0])))


def test_defaults_and_code_count():
    assert Function(lambda x, a=1.0: x * a) != Function(lambda x, a=2.0: x * a)
    assert Function(lambda x: x + 1) != Function(lambda x: x - 1)


def test_a_loop_variable_keeps_the_value_it_had():
    functions = [Function(lambda x: x * i) for i in range(3)]  # noqa: B023
    assert [f(1) for f in functions] == [0, 1, 2]


def test_an_array_changed_after_wrapping_does_not_reach_the_function():
    weights = np.ones(2)
    wrapped = Function(lambda x: x * weights)
    weights += 10.0
    assert wrapped(1.0).tolist() == [1.0, 1.0]


def test_a_global_that_is_rebound_later_does_not_reach_the_function():
    namespace = {"SCALE": 2.0}
    exec("def f(x):\n    return SCALE * x", namespace)
    before = Function(namespace["f"])
    namespace["SCALE"] = 3.0
    after = Function(namespace["f"])
    assert before != after
    assert (before(1.0), after(1.0)) == (2.0, 3.0)


def test_helpers_are_snapshotted_with_what_they_read_and_may_be_recursive():
    namespace = {"BASE": 1.0}
    exec("def g(n):\n    return BASE if n == 0 else 2 * g(n - 1)\ndef f(n):\n    return g(n)", namespace)
    wrapped = Function(namespace["f"])
    namespace["BASE"] = 100.0
    namespace.pop("g")
    assert wrapped(3) == 8.0


def test_a_helper_defined_later_is_found_when_called():
    namespace = {}
    exec("def f(x):\n    return late(x)", namespace)
    wrapped = Function(namespace["f"])
    exec("def late(x):\n    return x + 1", namespace)
    assert wrapped(1) == 2
    other = {}
    exec("def f(x):\n    return late(x)", other)
    assert Function(other["f"]) != wrapped


def test_library_functions_count_by_name_and_what_they_close_over():
    from jax.scipy.special import logsumexp

    assert Function(lambda x: logsumexp(x)) == Function(lambda x: logsumexp(x))
    assert Function(jax.vmap(make(1.0))) == Function(jax.vmap(make(1.0)))
    assert Function(jax.vmap(make(1.0))) != Function(jax.vmap(make(2.0)))


def test_helpers_are_compared_by_what_they_do():
    def build(c):
        def helper(x):
            return c * x

        return lambda x: helper(x)

    assert Function(build(1.0)) == Function(build(1.0))
    assert Function(build(1.0)) != Function(build(2.0))


def test_partials_and_jitted_functions_are_read_through():
    assert Function(functools.partial(pow, 2)) == Function(functools.partial(pow, 2))
    assert Function(functools.partial(pow, 2)) != Function(functools.partial(pow, 3))
    assert Function(jax.jit(make(1.0))) == Function(jax.jit(make(1.0)))


def test_a_function_is_a_pytree_without_leaves():
    assert jax.tree.leaves(Function(make(1.0))) == []
    assert jax.tree.structure(Function(make(1.0))) == jax.tree.structure(Function(make(1.0)))


def test_captured_names_arrays_and_mutable_objects_only():
    numbers, array, listed = 1.0, jnp.ones(2), [1.0, 2.0]
    found = dict(captured(lambda x: x * numbers * array.sum() * listed[0] * SCALE * TABLE.sum() * jnp.pi))
    assert found == {"array": "array", "listed": "mutable object", "TABLE": "array"}


def test_arguments_without_defaults_are_the_parents():
    assert arguments(lambda a, b, c=1, *rest, d, e=2, **more: None) == ("a", "b", "d")


def test_constants_are_compared_by_content():
    import numpyro.distributions as dist

    assert Constant(dist.Normal(0.0, 1.0)) == Constant(dist.Normal(0.0, 1.0))
    assert Constant(dist.Normal(0.0, 1.0)) != Constant(dist.Normal(0.0, 2.0))
    assert Constant(dist.Normal(np.zeros(3), 1.0)) != Constant(dist.Normal(np.ones(3), 1.0))
