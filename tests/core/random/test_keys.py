import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.random.keys import as_keys, chain_words, row_seed, seed_key, step_key


def chain_keys(seed, chains):
    return as_keys(chain_words(seed, chains))


def words(keys):
    return np.asarray(jax.random.key_data(keys))


def test_a_chain_has_its_key_however_many_others_there_are():
    np.testing.assert_array_equal(words(chain_keys(5, range(3))), words(chain_keys(5, range(10_000)))[:3])
    np.testing.assert_array_equal(words(chain_keys(5, range(7, 9))), words(chain_keys(5, range(20)))[7:9])


def test_keys_of_chains_seeds_and_steps_are_all_different():
    keys = [chain_keys(seed, range(1000)) for seed in range(5)]
    steps = [jax.vmap(lambda i, k=k: step_key(k, i))(jnp.arange(1, 200)) for k in keys[0][:20]]
    every = np.concatenate([words(k) for k in [*keys, *steps]])
    assert len(np.unique(every, axis=0)) == len(every) == 5 * 1000 + 20 * 199


def test_the_noise_of_neighbouring_steps_and_chains_is_uncorrelated():
    """400 chains x 250 steps of two normals; |z| < 5 for 9 numbers: one false alarm in 190,000 seeds."""
    one = lambda key: jax.vmap(lambda i: jax.random.normal(step_key(key, i), (2,)))(jnp.arange(250))  # noqa: E731
    x = np.asarray(jax.vmap(one)(chain_keys(0, range(400))), float)
    count = x.size / 2
    for a, b in ((x[:, 1:], x[:, :-1]), (x[1:], x[:-1]), (x[..., :1], x[..., 1:]), (x[:, 2:], x[:, :-2])):
        assert abs((a * b).mean()) < 5.0 / np.sqrt(a.size)
        assert abs(((a**2 - 1) * (b**2 - 1)).mean()) < 5.0 * 2.0 / np.sqrt(a.size)
    assert abs(x.mean()) < 5.0 / np.sqrt(2 * count)


def test_the_generator_is_threefry_whatever_jax_is_set_to():
    jax.config.update("jax_default_prng_impl", "rbg")
    try:
        keys = chain_keys(0, range(2))
        assert str(jax.random.key_impl(step_key(keys[0], jnp.int32(3)))) == "threefry2x32"
    finally:
        jax.config.update("jax_default_prng_impl", "threefry2x32")


def test_seeds_of_more_than_32_bits_have_keys_of_their_own():
    assert np.array_equal(words(seed_key("fit", 7)), words(jax.random.key(7)))
    every = [tuple(words(seed_key("fit", seed))) for seed in (0, 1, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1)]
    assert len(set(every)) == len(every)
    assert np.array_equal(words(seed_key("fit", np.int64(7))), words(jax.random.key(7)))


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, True, "0", None])
def test_other_seeds_are_refused_by_the_verb(seed):
    with pytest.raises(gm.SpecError, match=r"fit\(seed=.*\): a whole number from 0 on is needed"):
        seed_key("fit", seed)


def test_rows_of_data_have_seeds_of_their_own():
    seeds = [row_seed(seed, row) for seed in range(50) for row in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
