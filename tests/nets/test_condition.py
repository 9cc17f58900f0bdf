"""What a network is conditioned on, as a vector."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.nets.condition import condition_size, encoded


@pytest.mark.parametrize(
    ("space", "value", "vector"),
    [
        (None, None, []),
        (gm.Real(2, 2), np.arange(4.0).reshape(2, 2), [0, 1, 2, 3]),
        (gm.Categorical(3), 2, [0, 0, 1]),
        (gm.Categorical(3, 2), [0, 2], [1, 0, 0, 0, 0, 1]),
        (gm.Spin(2), [-1, 1], [1, 0, 0, 1]),
        (gm.Categorical(2, 2), [1, 0], [0, 1, 1, 0]),
    ],
)
def test_numbers_stay_and_labels_are_one_of_n(space, value, vector):
    assert condition_size("Net", space) == len(vector)
    assert np.array_equal(encoded("Net", space, value), np.array(vector, dtype="float32"))


def test_what_does_not_fit_is_refused():
    with pytest.raises(gm.SpecError, match=r"was given c, but declared without condition="):
        encoded("Net", None, 1.0)
    with pytest.raises(gm.SpecError, match=r"was given no c, but declared with"):
        encoded("Net", gm.Real(), None)
    with pytest.raises(gm.SpecError, match=r"c.*shape \(2,\), but c was declared \(\)"):
        encoded("Net", gm.Categorical(3), [1, 2])
    with pytest.raises(gm.SpecError, match=r"condition=3\): a space is needed"):
        condition_size("Net", 3)


def test_a_time_network_reads_its_condition_in_every_layer():
    net = gm.nets.TimeMLP(2, width=8, condition=gm.Categorical(3), key=jax.random.key(0))
    x = jnp.array([0.5, -1.0])
    values = [net(x, 0.3, c) for c in range(3)]
    assert not np.allclose(values[0], values[1])
    assert not np.allclose(values[1], values[2])
    assert all(layer.weight.shape[1] == net.embedding.size + 3 for layer in net.times)
    assert net.layers[0].weight.shape[1] == 2 + net.embedding.size + 3
    with pytest.raises(gm.SpecError, match=r"TimeMLP.*no c"):
        net(x, 0.3)
