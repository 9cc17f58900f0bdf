"""Hand-written JAX in the Langevin table.

`best` is what somebody would write who knows XLA on a processor: chains in tiles of 125 at most, each tile doing all
its steps in one loop before the next begins, one key per step and tile, convolutions as patches times a matrix. It
returns what gmdsl keeps, the thinned draws and their log-densities. `simple` is what one writes first: `vmap` over
all chains, a scan over keys, `lax.conv`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from contenders import energies

TILE = 125


def mixture(x):
    """Energies of points (n, 2)."""
    squares = jnp.sum((x[:, None] - energies.MEANS) ** 2, axis=-1)
    return -jax.nn.logsumexp(-0.5 * squares / energies.SCALE**2, axis=1)


def mlp(x):
    """Energies of points (n, 2)."""
    hidden = x
    for weight, bias in energies.mlp()[:-1]:
        hidden = jax.nn.silu(hidden @ weight.T + bias)
    weight, bias = energies.mlp()[-1]
    return (hidden @ weight.T + bias)[:, 0] + 0.5 * jnp.sum(x**2, axis=1)


def conv(x):
    """Energies of images (n, 1, 28, 28), by `lax.conv`."""
    hidden = x
    for (weight, bias), pad in zip(energies.conv()[:2], (2, 1), strict=True):
        hidden = lax.conv_general_dilated(hidden, jnp.asarray(weight), (2, 2), [(pad, pad)] * 2)
        hidden = jax.nn.silu(hidden + bias[:, None, None])
    weight, bias = energies.conv()[2]
    return (hidden.reshape(len(x), -1) @ weight.T + bias)[:, 0] + 0.5 * jnp.sum(x**2, axis=(1, 2, 3))


def patches(x, weight, bias, pad):
    """A convolution of stride 2 of (n, height, width, channels) as patches times a matrix."""
    size, half = weight.shape[-1], x.shape[1] // 2
    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    parts = [padded[:, i : i + 2 * half : 2, j : j + 2 * half : 2] for i in range(size) for j in range(size)]
    columns = jnp.concatenate(parts, axis=-1)
    return columns @ weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0]) + bias


def conv_by_patches(x):
    """The energies of `conv`."""
    (first, second, (weight, bias)), n = energies.conv(), len(x)
    hidden = jax.nn.silu(patches(x[:, 0, :, :, None], *first, 2))
    hidden = jax.nn.silu(patches(hidden, *second, 1))
    matrix = weight.reshape(16, 49).T.reshape(-1)  # channels are last here
    return hidden.reshape(n, -1) @ matrix + bias[0] + 0.5 * jnp.sum(x**2, axis=(1, 2, 3))


SIMPLE = {"mixture": mixture, "mlp": mlp, "conv": conv}
BEST = {"mixture": mixture, "mlp": mlp, "conv": conv_by_patches}
DRIFT, NOISE = 0.5 * energies.STEP, energies.STEP**0.5


def best(case):
    """Tiles, one after the other."""
    energy, chains, draws, thin = BEST[case["energy"]], case["chains"], case["draws"], case["thin"]
    tile = chains if chains <= TILE else TILE
    slope = jax.value_and_grad(lambda x: (lambda e: (e.sum(), e))(energy(x)), has_aux=True)

    def one_tile(given):
        key, x = given
        (_, e), g = slope(x)

        def step(i, state):
            x, _, g = state
            noise = jax.random.normal(jax.random.fold_in(key, i), x.shape)
            x = x - DRIFT * g + NOISE * noise
            (_, e), g = slope(x)
            return x, e, g

        def record(state, first):
            state = lax.fori_loop(first, first + thin, step, state)
            return state, (state[0], -state[1])

        return lax.scan(record, (x, e, g), jnp.arange(draws) * thin)[1]

    @jax.jit
    def whole(key, x):
        keys, tiles = jax.random.split(key, chains // tile), x.reshape(-1, tile, *x.shape[1:])
        return lax.map(one_tile, (keys, tiles))

    def run(seed):
        x, lp = whole(jax.random.key(seed), energies.starts(case, seed))  # (tiles, draws, tile, ...)
        x, lp = np.asarray(x), np.asarray(lp)
        return energies.found(np.moveaxis(x, 1, 2).reshape(chains, draws, *x.shape[3:]), case)

    return run


def kept(case, step, start):
    """A program that makes all steps of all chains at once and keeps thinned draws; `step(key, x) -> x`."""

    @jax.jit
    def whole(key, x):
        keys = jax.random.split(key, (case["draws"], case["thin"]))
        forward = lambda state, key: (step(key, state), None)  # noqa: E731

        def record(state, keys):
            state = lax.scan(forward, state, keys)[0]
            return state, state

        return lax.scan(record, start(x), keys)[1]

    def run(seed):
        states = whole(jax.random.key(seed), energies.starts(case, seed))
        draws = np.asarray(getattr(states, "position", states))
        return energies.found(np.swapaxes(draws, 0, 1), case)

    return run


def single(case):
    """The log-density of one point."""
    energy = SIMPLE[case["energy"]]
    return lambda x: -energy(x[None])[0]


def simple(case):
    """`vmap` of `grad` over all chains."""
    score = jax.vmap(jax.grad(single(case)))
    step = lambda key, x: x + DRIFT * score(x) + NOISE * jax.random.normal(key, x.shape)  # noqa: E731
    return kept(case, step, lambda x: x)


CONTENDERS = {"best": best, "simple": simple}
