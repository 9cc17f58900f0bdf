import jax
import numpy as np

import gmdsl as gm


def test_it_is_an_energy_whose_score_is_known(x64):
    net = gm.nets.MyNetwork(3, 2, key=jax.random.key(0))
    density, x = gm.compile(gm.energy(net, x=gm.Real(3))), np.array([1.0, -2.0, 0.5])
    w = np.asarray(net.weights)
    np.testing.assert_allclose(density.score({"x": x})["x"], -2.0 * w.T @ w @ x, rtol=1e-9)
