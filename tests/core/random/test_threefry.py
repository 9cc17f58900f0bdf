import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from gmdsl.core.random.threefry import split, threefry, uniforms


def test_the_known_answers_of_the_paper_code():
    """Random123's table of known answers for threefry2x32 with 20 rounds: zeros, ones, and digits of pi."""
    known = (
        ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    )
    for key, counter, words in known:
        given = [jnp.uint32(number) for number in (*key, *counter)]
        assert tuple(int(word) for word in threefry(tuple(given[:2]), tuple(given[2:]))) == words


def test_the_bits_are_those_of_jax():
    rng = np.random.default_rng(0)
    key, counter = rng.integers(0, 2**32, (2, 500, 2), np.uint32)
    x, y = threefry((key[:, 0], key[:, 1]), (counter[:, 0], counter[:, 1]))
    for i in range(0, 500, 50):
        np.testing.assert_array_equal(threefry_2x32((key[i, 0], key[i, 1]), counter[i]), [x[i], y[i]])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_keys_and_uniforms_are_those_of_jax(count):
    for seed in range(20):
        key = jax.random.key(seed)
        np.testing.assert_array_equal(uniforms(key, count, "float32"), jax.random.uniform(key, (count,)))
        for mine, theirs in zip(split(key, count), jax.random.split(key, count), strict=True):
            assert mine == theirs


@pytest.mark.parametrize("kind", ["rbg", "threefry2x32"])
def test_other_generators_and_precisions_are_left_to_jax(kind, x64):
    key = jax.random.key(3, impl=kind)
    for dtype in ("float64", "float32"):
        np.testing.assert_array_equal(uniforms(key, 2, dtype), jax.random.uniform(key, (2,), dtype))
    assert [str(jax.random.key_impl(k)) for k in split(key)] == [kind, kind]
    assert (jnp.stack(split(key)) == jax.random.split(key)).all()


def test_chains_side_by_side_draw_what_they_draw_alone():
    keys = jax.random.split(jax.random.key(1), 40)
    together = jax.vmap(lambda key: uniforms(split(key)[1], 2, "float32"))(keys)
    alone = [uniforms(split(key)[1], 2, "float32") for key in keys]
    np.testing.assert_array_equal(np.stack(together, 1), alone)
