"""Seconds of CPU per step of denoising score matching with convolutions: `gm.fit` and a jitted Python loop by hand.

    XLA_FLAGS=--xla_cpu_multi_thread_eigen=false uv run python benchmarks/convolutions.py

Both do the same step of the same objective; runs alternate, and the loop runs twice in each pair, as a control.
"""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gmdsl as gm
from gmdsl.learning.objective import Batch

BATCH, STEPS, PAIRS, SIDE = 128, 20, 7, 8
EVEN, HALF = {"padding": 1}, {"padding": 1, "stride": 2}


class Net(eqx.Module):
    """Layers with silu in between; the mean over channels, as a flat image."""

    layers: tuple

    def __call__(self, x, level):
        y = x.reshape(1, SIDE, SIDE) + level
        for layer in self.layers:
            y = jax.nn.silu(layer(y))
        return jax.image.resize(y.mean(0), (SIDE, SIDE), "nearest").reshape(-1)


def convolution(inside, outside, size=3, *, up=False, **settings):
    kind = eqx.nn.ConvTranspose2d if up else eqx.nn.Conv2d
    return kind(inside, outside, size, **settings, key=jax.random.key(outside))


NETS = {
    "16-16": lambda: (convolution(1, 16, **EVEN), convolution(16, 16, **EVEN)),
    "16-32-16": lambda: (convolution(1, 16, **EVEN), convolution(16, 32, **EVEN), convolution(32, 16, **EVEN)),
    "stride 2": lambda: (convolution(1, 16, **EVEN), convolution(16, 32, **HALF)),
    "transposed": lambda: (convolution(1, 16, **HALF), convolution(16, 16, 4, up=True, **HALF)),
    "4 groups": lambda: (convolution(1, 16, **EVEN), convolution(16, 16, **EVEN, groups=4)),
}


def by_hand(model, x, objective, optimizer):
    """One compiled step, called from Python."""

    @eqx.filter_jit
    def step(model, state, key):
        key_batch, key_loss = jax.random.split(key)
        batch = Batch({"x": x[jax.random.choice(key_batch, len(x), (BATCH,), replace=False)]})
        (value, _), slope = eqx.filter_value_and_grad(
            lambda model: objective.loss(key_loss, model, batch, None), has_aux=True
        )(model)
        updates, state = optimizer.update(slope, state, model)
        return eqx.apply_updates(model, updates), state, value

    def run():
        now, state, values = model, optimizer.init(eqx.filter(model, eqx.is_inexact_array)), []
        for i in range(STEPS):
            now, state, value = step(now, state, jax.random.key(i))
            values.append(value)
        return np.asarray(jnp.stack(values))

    return run


def main():
    x = np.random.default_rng(0).normal(size=(1024, SIDE * SIDE)).astype("float32")
    for name, layers in NETS.items():
        model, objective = gm.score_model(gm.VP(), Net(layers()), x=gm.Real(SIDE * SIDE)), gm.DenoisingScoreMatching()
        optimizer = optax.adam(1e-3)
        settings = {"optimizer": optimizer, "steps": STEPS, "batch_size": BATCH, "progress": False}
        fit = lambda a=(model, {"x": x}, objective), s=settings: gm.fit(*a, **s)  # noqa: E731
        loop = by_hand(model, jnp.asarray(x), objective, optimizer)
        times = []
        for pair in range(PAIRS + 1):  # the first compiles
            runs, spent = [("fit", fit), ("loop", loop), ("again", loop)], {}
            for kind, run in runs if pair % 2 else runs[::-1]:
                start = time.process_time()
                run()
                spent[kind] = (time.process_time() - start) / STEPS
            times.append(spent)
        ratio = lambda a, t=times: np.median([spent[a] / spent["loop"] for spent in t[1:]])  # noqa: E731
        per_step = 1e3 * np.median([spent["fit"] for spent in times[1:]])
        print(f"{name:12} gm.fit {per_step:7.2f} ms, {ratio('fit'):.2f} of the loop; control {ratio('again'):.2f}")


if __name__ == "__main__":
    main()
