import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.pytrees.function import Constant, Function, captured

SCALE = 2.0
TABLE = np.ones(3)


def make(shift):
    return lambda x: x + shift


def test_the_same_lambda_made_twice_is_one_function():
    assert Function(make(1.0)) == Function(make(1.0))
    assert hash(Function(make(1.0))) == hash(Function(make(1.0)))


def test_a_function_is_a_pytree_without_leaves():
    assert jax.tree.leaves(Function(make(1.0))) == []
    assert jax.tree.structure(Function(make(1.0))) == jax.tree.structure(Function(make(1.0)))


def test_captured_names_arrays_and_mutable_objects_only():
    numbers, array, listed = 1.0, jnp.ones(2), [1.0, 2.0]
    found = dict(captured(lambda x: x * numbers * array.sum() * listed[0] * SCALE * TABLE.sum() * jnp.pi))
    assert found == {"array": "array", "listed": "mutable object", "TABLE": "array"}


def test_constants_are_compared_by_content():
    import numpyro.distributions as dist

    assert Constant(dist.Normal(0.0, 1.0)) == Constant(dist.Normal(0.0, 1.0))
    assert Constant(dist.Normal(0.0, 1.0)) != Constant(dist.Normal(0.0, 2.0))
    assert Constant(dist.Normal(np.zeros(3), 1.0)) != Constant(dist.Normal(np.ones(3), 1.0))
