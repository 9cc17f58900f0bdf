"""Training steps per second on two moons: `gm.fit`, a hand-written scan, and equinox's usual loop.

Run `uv run --group test python benchmarks/training.py`. Rounds are interleaved, each runs every contestant
once on the same network, data, batch size and optimiser, after compilation; CPU time of the process is counted, and
the ratio to the hand-written scan is given with a 95 % interval of its median over rounds (by ranks). The row
"scan again" is the control: the same program once more.
"""

import functools
import os
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gmdsl as gm

STEPS, BATCH, ROUNDS = 1000, 256, 21
PROCESS = gm.VP()
OPTIMIZER = optax.adam(1e-3)


def moons(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    angle, upper = rng.uniform(0, np.pi, n), rng.integers(0, 2, n)
    x = np.stack([np.cos(angle) + (1 - upper), np.sin(angle)], 1) * np.where(upper, 1, -1)[:, None]
    x = x + rng.normal(scale=0.08, size=x.shape)
    return ((x - x.mean(0)) / x.std(0)).astype("float32")


DATA = jnp.asarray(moons())
NETWORK = gm.nets.TimeMLP(2, width=128, depth=3, key=jax.random.key(0))
TABLE = PROCESS.time_at(jnp.linspace(0.0, 1.0, 1025))


def hand_written_loss(network, key, x_0):
    """The same objective as gmdsl's, written out for this process and this preconditioning."""
    key_level, key_noise = jax.random.split(key)
    levels = jnp.mod(jnp.arange(BATCH) / BATCH + jax.random.uniform(key_level), 1.0)
    low, high = PROCESS._log_ratio(jnp.asarray(1e-3)), PROCESS._log_ratio(jnp.asarray(1.0))
    t = jnp.interp(levels, jnp.linspace(0.0, 1.0, 1025), TABLE)
    total = 0.1 * t + 9.95 * t**2
    alpha, sigma = jnp.exp(-0.5 * total)[:, None], jnp.sqrt(-jnp.expm1(-total))[:, None]
    x = alpha * x_0 + sigma * jax.random.normal(key_noise, x_0.shape)
    level = (jnp.log(sigma / alpha)[:, 0] - low) / (high - low)
    residual = jax.vmap(network)(x, level)  # alpha^2 + sigma^2 = 1
    return jnp.mean((alpha * x + sigma * residual - x_0) ** 2 / sigma**2)


def scan():
    arrays, static = eqx.partition(NETWORK, eqx.is_array)

    @jax.jit
    def run(arrays, state, key):
        def step(carry, i):
            arrays, state = carry
            key_batch, key_loss = jax.random.split(jax.random.fold_in(key, i))
            x_0 = DATA[jax.random.randint(key_batch, (BATCH,), 0, DATA.shape[0])]
            loss = lambda arrays: hand_written_loss(eqx.combine(arrays, static), key_loss, x_0)  # noqa: E731
            value, slope = jax.value_and_grad(loss)(arrays)
            updates, state = OPTIMIZER.update(slope, state, arrays)
            return (optax.apply_updates(arrays, updates), state), value

        return jax.lax.scan(step, (arrays, state), jnp.arange(STEPS))

    state, key = OPTIMIZER.init(arrays), jax.random.key(0)
    return lambda: jax.block_until_ready(run(arrays, state, key))


def equinox_loop():
    @eqx.filter_jit
    def step(network, state, key, x_0):
        value, slope = eqx.filter_value_and_grad(hand_written_loss)(network, key, x_0)
        updates, state = OPTIMIZER.update(slope, state, eqx.filter(network, eqx.is_array))
        return eqx.apply_updates(network, updates), state, value

    def run():
        network, state, rng = NETWORK, OPTIMIZER.init(eqx.filter(NETWORK, eqx.is_array)), np.random.default_rng(0)
        data, losses = np.asarray(DATA), []
        for i in range(STEPS):
            x_0 = data[rng.integers(0, len(data), BATCH)]
            network, state, value = step(network, state, jax.random.key(i), x_0)
            losses.append(value)
        return jax.block_until_ready(losses)

    return run


def ours():
    family = gm.score_model(PROCESS, NETWORK, x=gm.Real(2))
    objective = gm.DenoisingScoreMatching()
    settings = {"optimizer": OPTIMIZER, "steps": STEPS, "batch_size": BATCH, "progress": False}
    return functools.partial(gm.fit, family, {"x": DATA}, objective, **settings)


def main():
    runs = {"scan": scan(), "scan again": scan(), "gm.fit": ours(), "equinox filter_jit loop": equinox_loop()}
    seconds = {name: [] for name in runs}
    for run in runs.values():
        run()
    for round_ in range(ROUNDS):
        names = list(runs)
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            start = time.process_time()
            runs[name]()
            seconds[name].append(time.process_time() - start)
    base = np.array(seconds["scan"])
    print(f"{'':<26}{'steps per CPU second':>22}{'CPU time / scan':>18}{'95 % interval':>18}")
    for name, values in seconds.items():
        ratio = np.sort(np.array(values) / base)
        low, high = ratio[int(ROUNDS / 2 - 0.98 * ROUNDS**0.5)], ratio[-1 - int(ROUNDS / 2 - 0.98 * ROUNDS**0.5)]
        print(f"{name:<26}{STEPS / np.median(values):>22.0f}{np.median(ratio):>18.3f}{f'{low:.3f} to {high:.3f}':>18}")


if __name__ == "__main__":
    main()
