import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.learning.learnable import learnable


def test_the_embedding_is_sines_then_cosines_at_geometric_frequencies():
    embed, t = gm.nets.TimeEmbedding(4, 0.5, 4.0), 0.37
    angles = 2 * np.pi * np.array([0.5, 1.0, 2.0, 4.0]) * t
    np.testing.assert_allclose(embed(t), np.concatenate([np.sin(angles), np.cos(angles)]), atol=1e-6)
    assert embed.size == 8


def test_near_times_differ_by_what_the_frequencies_say():
    """The distance is (sum_k 4 sin(pi f_k h)^2)^(1/2) for a step h, the same at every t."""
    embed, h = gm.nets.TimeEmbedding(), 0.01
    expected = np.sqrt(np.sum(4 * np.sin(np.pi * embed.frequencies * h) ** 2))
    for t in (0.0, 0.5, 0.98):
        np.testing.assert_allclose(jnp.linalg.norm(embed(t + h) - embed(t)), expected, rtol=1e-3)
    assert expected > 1.0  # out of norms of 4


def test_no_two_times_in_the_unit_interval_look_alike():
    grid = np.linspace(0, 1, 201)
    embedded = np.asarray(jax.vmap(gm.nets.TimeEmbedding())(grid))
    distance = np.linalg.norm(embedded[:, None] - embedded[None], axis=-1)
    apart = np.abs(grid[:, None] - grid[None]) > 0.009
    assert distance[apart].min() > 1.0


def test_the_embedding_is_smooth():
    """Its slope has the norm 2 pi |f| everywhere, which bounds how fast it moves."""
    embed = gm.nets.TimeEmbedding()
    slopes = jax.vmap(jax.jacfwd(embed))(jnp.linspace(0.0, 1.0, 50))
    norm = 2 * np.pi * np.linalg.norm(embed.frequencies)
    np.testing.assert_allclose(jnp.linalg.norm(slopes, axis=1), norm, rtol=1e-4)


def test_the_embedding_keeps_the_precision_of_the_time(x64):
    embed, t = gm.nets.TimeEmbedding(3, 1.0, 9.0), 0.123456789012
    angles = 2 * np.pi * np.array([1.0, 3.0, 9.0]) * t
    np.testing.assert_allclose(embed(t), np.concatenate([np.sin(angles), np.cos(angles)]), atol=1e-14)
    assert embed(jnp.float32(t)).dtype == jnp.float32


def test_an_integer_time_is_a_time():
    np.testing.assert_array_equal(gm.nets.TimeEmbedding()(1), gm.nets.TimeEmbedding()(1.0))


def test_nothing_in_it_is_learned():
    model = gm.joint(t=gm.data(0.5), e=gm.given("t", gm.nets.TimeEmbedding()))
    assert not any(jax.tree.leaves(learnable(model)))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"count": 0}, r"count=0\)"),
        ({"count": 1.5}, r"count=1.5\)"),
        ({"lowest": 0.0}, r"lowest=0.0, highest=16.0\): 0 < lowest"),
        ({"lowest": 20.0}, r"lowest=20.0, highest=16.0\)"),
    ],
)
def test_settings_that_make_no_waves_are_errors(settings, text):
    with pytest.raises(gm.SpecError, match=text):
        gm.nets.TimeEmbedding(**settings)


def test_a_batch_of_times_is_an_error_that_proposes_vmap():
    with pytest.raises(gm.SpecError, match=r"TimeEmbedding\(t\): shape \(3,\), but a time is one number.*vmap"):
        gm.nets.TimeEmbedding()(jnp.zeros(3))
