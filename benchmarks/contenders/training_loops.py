"""The loops that users of equinox and flax write: one jitted step, batches picked on the host."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from contenders import moons
from contenders.training_hand import OPTIMIZER, denoiser, score_loss


def looped(case, begin, step):
    """The loop: `step(state, key, x_0) -> state, loss`."""
    data = moons.data()

    def run(seed):
        rng, state, losses = np.random.default_rng(seed), begin(), []
        for i in range(case["steps"]):
            x_0 = data[rng.integers(0, len(data), moons.BATCH)]
            state, value = step(state, jax.random.key(i), x_0)
            losses.append(value)
        jax.block_until_ready(losses)
        return {"work": case["steps"], "loss": float(np.mean([float(v) for v in losses[-100:]]))}

    return run


class Equinox(eqx.Module):
    """The network, of one point; its arrays are those of `moons.denoiser`."""

    weights: tuple

    def __call__(self, x, t):
        return denoiser(self.weights, x[None], t[None])[0]


def equinox(case):
    """`eqx.filter_jit` of a step, its network vmapped over the batch."""

    def loss(network, key, x_0):
        return score_loss(jax.vmap(network), key, x_0)

    @eqx.filter_jit
    def advance(network, state, key, x_0):
        value, slope = eqx.filter_value_and_grad(loss)(network, key, x_0)
        updates, state = OPTIMIZER.update(slope, state, eqx.filter(network, eqx.is_array))
        return (eqx.apply_updates(network, updates), state), value

    def begin():
        network = Equinox(jax.tree.map(jnp.asarray, moons.denoiser()))
        return network, OPTIMIZER.init(eqx.filter(network, eqx.is_array))

    return looped(case, begin, lambda state, key, x_0: advance(*state, key, x_0))


class Flax(nnx.Module):
    """The network, of a batch."""

    def __init__(self, rngs):
        layers, times = moons.denoiser()
        self.layers = nnx.List([nnx.Linear(w.shape[1], w.shape[0], rngs=rngs) for w, _ in layers])
        self.times = nnx.List([nnx.Linear(w.shape[1], w.shape[0], use_bias=False, rngs=rngs) for w in times])
        for layer, (weight, bias) in zip(self.layers, layers, strict=True):
            layer.kernel[...], layer.bias[...] = jnp.asarray(weight.T), jnp.asarray(bias)
        for layer, weight in zip(self.times, times, strict=True):
            layer.kernel[...] = jnp.asarray(weight.T)

    def __call__(self, x, t):
        angle = t[:, None] * moons.FREQUENCIES
        time = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=1)
        hidden = jnp.concatenate([x, time], axis=1)
        for i in range(3):
            hidden = nnx.silu(self.layers[i](hidden) + (self.times[i - 1](time) if i else 0.0))
        return self.layers[3](hidden)


def flax(case):
    """`nnx.jit` of a step; the network is made once and cloned, which is cheaper."""
    network = Flax(nnx.Rngs(0))
    made = nnx.List([network, nnx.Optimizer(network, OPTIMIZER, wrt=nnx.Param)])

    @nnx.jit
    def advance(network, optimizer, key, x_0):
        value, slope = nnx.value_and_grad(lambda network: score_loss(network, key, x_0))(network)
        optimizer.update(network, slope)
        return value

    def step(state, key, x_0):
        return state, advance(*state, key, x_0)

    return looped(case, lambda: nnx.clone(made), step)


CONTENDERS = {"equinox": equinox, "flax": flax}
