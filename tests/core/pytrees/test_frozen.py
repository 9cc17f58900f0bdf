"""What is frozen is called as before, and its arrays are leaves that no fit moves."""

import equinox as eqx
import jax
import numpy as np

import gmdsl as gm
from gmdsl.core.pytrees.frozen import Frozen
from gmdsl.learning.learnable import learnable


def test_a_frozen_module_is_called_as_before_and_is_not_learned():
    net = eqx.nn.MLP(2, "scalar", 4, 1, key=jax.random.key(0))
    frozen, point = Frozen(net), np.array([1.0, -2.0], "float32")
    assert float(frozen(point)) == float(net(point))
    assert len(jax.tree.leaves(eqx.filter(frozen, eqx.is_array))) == 4
    model = gm.energy(frozen, x=gm.Real(2))
    assert not any(jax.tree.leaves(learnable(model)))
    assert float(gm.compile(model).log_density({"x": point})) == -float(net(point))
