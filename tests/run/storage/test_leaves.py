import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.run.storage.leaves import leaf_of, numbers_of


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_keys_come_back_as_keys_of_their_kind(impl):
    keys = jax.random.split(jax.random.key(3, impl=impl), 4)
    again = leaf_of(np.asarray(numbers_of(keys)), keys)
    assert again.dtype == keys.dtype
    assert bool((again == keys).all())


def test_other_arrays_stay_as_they_are():
    x = jnp.arange(3, dtype=jnp.int8)
    assert numbers_of(x) is x
    assert leaf_of(np.asarray(x), x).dtype == jnp.int8
