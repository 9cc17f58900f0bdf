"""Hand-written JAX in the table of training: a scan over all steps under one `jit`."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from contenders import moons

LEVELS, TIMES = moons.grid()
LOW, HIGH = moons.log_ratio(1e-3), moons.log_ratio(1.0)
OPTIMIZER = optax.adam(moons.RATE)


def denoiser(weights, x, t):
    """The network at points (n, 2) and times (n,)."""
    layers, times = weights
    angle = t[:, None] * moons.FREQUENCIES
    time = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=1)
    hidden = jnp.concatenate([x, time], axis=1)
    for i, (weight, bias) in enumerate(layers[:-1]):
        hidden = jax.nn.silu(hidden @ weight.T + bias + (time @ times[i - 1].T if i else 0.0))
    return hidden @ layers[-1][0].T + layers[-1][1]


def score_loss(network, key, x_0):
    """gmdsl's objective, written out for this process and its preconditioning; `network(x, level)`."""
    key_level, key_noise = jax.random.split(key)
    levels = jnp.mod(jnp.arange(len(x_0)) / len(x_0) + jax.random.uniform(key_level), 1.0)
    t = jnp.interp(levels, LEVELS, TIMES)
    total = moons.total(t)
    alpha, sigma = jnp.exp(-0.5 * total)[:, None], jnp.sqrt(-jnp.expm1(-total))[:, None]
    x = alpha * x_0 + sigma * jax.random.normal(key_noise, x_0.shape)
    level = (jnp.log(sigma / alpha)[:, 0] - LOW) / (HIGH - LOW)
    residual = network(x, level)  # alpha^2 + sigma^2 = 1
    return jnp.mean((alpha * x + sigma * residual - x_0) ** 2 / sigma**2)


def energy(weights, x):
    """Energies of points (n, 2)."""
    hidden = x
    for weight, bias in weights[:-1]:
        hidden = jax.nn.silu(hidden @ weight.T + bias)
    return (hidden @ weights[-1][0].T + weights[-1][1])[:, 0] + 0.5 * jnp.sum(x**2, axis=1)


def moved(weights, key, x):
    """The persistent chains after the Langevin steps of an update."""
    slope = jax.grad(lambda x: energy(weights, x).sum())

    def step(x, key):
        return x - 0.5 * moons.STEP * slope(x) + moons.STEP**0.5 * jax.random.normal(key, x.shape), None

    return lax.scan(step, x, jax.random.split(key, moons.MOVES))[0]


def score(weights, key, x_0, chains):
    """Loss of denoising score matching; there are no chains."""
    return score_loss(lambda x, t: denoiser(weights, x, t), key, x_0), chains


def divergence(weights, key, x_0, chains):
    """Loss of persistent contrastive divergence, and the chains after it."""
    chains = moved(lax.stop_gradient(weights), key, chains)
    return energy(weights, x_0).mean() - energy(weights, chains).mean(), chains


def scan(case):
    """All steps in one program."""
    data = jnp.asarray(moons.data())
    loss, start = (score, moons.denoiser()) if case["objective"] == "score" else (divergence, moons.energy())
    start = jax.tree.map(jnp.asarray, start)

    @jax.jit
    def whole(key):
        def step(carry, key):
            weights, state, chains = carry
            key_batch, key_loss = jax.random.split(key)
            x_0 = data[jax.random.randint(key_batch, (moons.BATCH,), 0, len(data))]
            (value, chains), slope = jax.value_and_grad(loss, has_aux=True)(weights, key_loss, x_0, chains)
            updates, state = OPTIMIZER.update(slope, state, weights)
            return (optax.apply_updates(weights, updates), state, chains), value

        key_start, key_steps = jax.random.split(key)
        chains = data[jax.random.randint(key_start, (moons.CHAINS,), 0, len(data))]
        carry = start, OPTIMIZER.init(start), chains
        (weights, _, _), values = lax.scan(step, carry, jax.random.split(key_steps, case["steps"]))
        return weights, values

    def run(seed):
        _, values = jax.block_until_ready(whole(jax.random.key(seed)))
        return {"work": case["steps"], "loss": float(np.asarray(values)[-100:].mean())}

    return run


CONTENDERS = {"scan": scan}
