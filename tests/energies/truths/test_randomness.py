import jax
import numpy as np

from gmdsl.energies.truths.randomness import generator_of


def test_a_typed_key_and_its_raw_data_give_the_same_numbers_and_other_keys_others():
    key = jax.random.key(7)
    first = generator_of(key).random(4)
    np.testing.assert_array_equal(first, generator_of(jax.random.key_data(key)).random(4))
    assert not np.array_equal(first, generator_of(jax.random.key(8)).random(4))
