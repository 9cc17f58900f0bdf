"""Hand-written JAX in the table of convolutions: one compiled step, called from Python.

Inside a loop of XLA the same convolutions would miss its fast routine; a loop in Python is what is hard to beat.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from contenders import moons, pictures
from contenders.training_hand import score_loss

OPTIMIZER = optax.adam(pictures.RATE)
ORDER = ("NCHW", "OIHW", "NCHW")


def residual(case, weights, x, level):
    """The network at flat pictures (n, pixels) and levels (n,)."""
    net, side = case["net"], case["side"]

    def apply(i, y):
        layer, (kernel, bias) = pictures.LAYERS[net][i], weights[i]
        if layer.up:  # (in, out, ...): the slope of a convolution with stride
            kernel, settings = jnp.flip(kernel, (2, 3)).swapaxes(0, 1), {"lhs_dilation": (layer.stride,) * 2}
            made = lax.conv_general_dilated(y, kernel, (1, 1), [(2, 2)] * 2, dimension_numbers=ORDER, **settings)
        else:
            settings = {"dimension_numbers": ORDER, "feature_group_count": layer.groups}
            made = lax.conv_general_dilated(y, kernel, (layer.stride,) * 2, [(1, 1)] * 2, **settings)
        return jax.nn.silu(made + bias[:, None, None])

    join = lambda a, b: jnp.concatenate([a, b], axis=1)  # noqa: E731
    y = pictures.forward(net, apply, join, x.reshape(-1, 1, side, side) + level[:, None, None, None])
    times = side // y.shape[2]
    return jnp.repeat(jnp.repeat(y.mean(1), times, 1), times, 2).reshape(len(x), -1)


def loop(case):
    """Steps of training, or of the way back."""
    return sampling(case) if case["what"] == "sample" else training(case)


def training(case):
    """The same objective as `gm.DenoisingScoreMatching`."""
    data = jnp.asarray(pictures.data(case["side"]))

    @jax.jit
    def step(weights, state, key):
        key_batch, key_loss = jax.random.split(key)
        x_0 = data[jax.random.choice(key_batch, len(data), (pictures.BATCH,), replace=False)]
        network = lambda weights: lambda x, level: residual(case, weights, x, level)  # noqa: E731
        value, slope = jax.value_and_grad(lambda w: score_loss(network(w), key_loss, x_0))(weights)
        updates, state = OPTIMIZER.update(slope, state, weights)
        return optax.apply_updates(weights, updates), state, value

    def run(seed):
        weights, values = jax.tree.map(jnp.asarray, pictures.weights(case["net"])), []
        state = OPTIMIZER.init(weights)
        for key in jax.random.split(jax.random.key(seed), case["steps"]):
            weights, state, value = step(weights, state, key)
            values.append(value)
        return {"work": case["steps"], "loss": float(np.mean(np.asarray(jnp.stack(values))))}

    return run


def sampling(case):
    """The reverse SDE by Euler's steps, even in time."""
    weights = jax.tree.map(jnp.asarray, pictures.weights(case["net"]))
    times, low, high = np.linspace(1.0, 1e-3, case["steps"] + 1), moons.log_ratio(1e-3), moons.log_ratio(1.0)

    @jax.jit
    def step(x, key, t, delta):
        total = moons.total(t)
        alpha, sigma = jnp.exp(-0.5 * total), jnp.sqrt(-jnp.expm1(-total))
        level = jnp.full(len(x), (jnp.log(sigma / alpha) - low) / (high - low))
        clean = alpha * x + sigma * residual(case, weights, x, level)
        rate = 0.1 + 19.9 * t
        score = (alpha * clean - x) / sigma**2
        return x + delta * rate * (0.5 * x + score) + jnp.sqrt(delta * rate) * jax.random.normal(key, x.shape)

    def run(seed):
        keys = jax.random.split(jax.random.key(seed), case["steps"] + 1)
        x = jax.random.normal(keys[-1], (pictures.BATCH, case["side"] ** 2))
        for key, t, after in zip(keys[:-1], times, times[1:], strict=False):
            x = step(x, key, np.float32(t), np.float32(t - after))
        x = np.asarray(x)
        return {"work": case["steps"], "draws": x[None], "sd": float(x.std())}

    return run


CONTENDERS = {"loop": loop}
