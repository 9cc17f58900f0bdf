import jax
import jax.numpy as jnp
import numpy as np
import optax

import gmdsl as gm


def test_an_mlp_is_a_smooth_scalar_function():
    net = gm.nets.MLP(2, width=16, depth=2, key=jax.random.key(0))
    x, h = jnp.array([0.3, -0.7]), 1e-2
    slope = jax.grad(net)(x)
    numeric = [(net(x.at[i].add(h)) - net(x.at[i].add(-h))) / (2 * h) for i in range(2)]
    np.testing.assert_allclose(slope, numeric, atol=1e-3)


def test_the_layers_are_affine_with_swish_between():
    net = gm.nets.MLP(2, width=16, depth=2, out=3, key=jax.random.key(0))
    x = np.array([0.3, -0.7])
    first, second, last = [
        (np.asarray(layer.weight, float), np.asarray(layer.bias, float)) for layer in net.layers.layers
    ]
    for weight, bias in (first, second):
        x = weight @ x + bias
        x = x / (1.0 + np.exp(-x))
    np.testing.assert_allclose(net(jnp.array([0.3, -0.7])), last[0] @ x + last[1], rtol=1e-5)


def test_an_energy_by_a_network_learns_where_the_data_are():
    """Two clusters: after training, the energy at the clusters lies below that between and around them."""
    rng = np.random.default_rng(0)
    data = np.concatenate([rng.normal(-2, 0.3, (300, 2)), rng.normal(2, 0.3, (300, 2))])
    model = gm.energy(gm.nets.MLP(2, width=32, depth=2, key=jax.random.key(1)), x=gm.Real(2))
    model = model * gm.energy(lambda x: 0.02 * x @ x, x=gm.Real(2), name="wall")
    objective = gm.ContrastiveDivergence(gm.MALA(step_size=0.2), steps=20, persistent=True, chains=128)
    fit = gm.fit(model, {"x": data}, objective, optimizer=optax.adam(2e-3), steps=800, batch_size=128, progress=False)
    density = gm.compile(fit.model)
    energy = {name: float(density.energy({"x": np.array(x, np.float32)})) for name, x in
              {"left": [-2, -2], "right": [2, 2], "middle": [0, 0], "off": [2, -2]}.items()}  # fmt: skip
    assert max(energy["left"], energy["right"]) + 1.0 < min(energy["middle"], energy["off"])
