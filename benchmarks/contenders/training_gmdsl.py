"""gmdsl in the table of training: `gm.fit` as a user would write it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gmdsl as gm
from contenders import moons


def with_numbers(module, at, numbers):
    """A module with these arrays at the places that `at` tells."""
    return eqx.tree_at(at, module, [jnp.asarray(n) for n in numbers])


def denoiser():
    """The network of the score."""
    net = gm.nets.TimeMLP(2, width=128, depth=3, key=jax.random.key(0))
    layers, times = moons.denoiser()
    at = lambda m: [a for layer in m.layers for a in (layer.weight, layer.bias)] + [t.weight for t in m.times]  # noqa: E731
    return with_numbers(net, at, [a for pair in layers for a in pair] + times)


class Energy(eqx.Module):
    """The learned energy."""

    net: eqx.Module

    def __call__(self, x):
        return self.net(x) + 0.5 * x @ x


def energy():
    """The network of the energy."""
    net = gm.nets.MLP(2, width=128, depth=2, key=jax.random.key(0))
    at = lambda m: [a for layer in m.layers.layers for a in (layer.weight, layer.bias)]  # noqa: E731
    return Energy(with_numbers(net, at, [a for pair in moons.energy() for a in pair]))


def fit(case):
    """`gm.fit`."""
    x = moons.data()
    if case["objective"] == "score":
        model, objective = gm.score_model(gm.VP(), denoiser(), x=gm.Real(2)), gm.DenoisingScoreMatching()
    else:
        sampler = gm.Langevin(step_size=moons.STEP)
        objective = gm.ContrastiveDivergence(sampler, steps=moons.MOVES, persistent=True, chains=moons.CHAINS)
        model = gm.energy(energy(), x=gm.Real(2))
    settings = {"optimizer": optax.adam(moons.RATE), "steps": case["steps"], "batch_size": moons.BATCH}

    def run(seed):
        found = gm.fit(model, {"x": x}, objective, seed=seed, progress=False, **settings)
        return {"work": case["steps"], "loss": float(np.mean(np.asarray(found.history["loss"])[-100:]))}

    return run


CONTENDERS = {"fit": fit}
_ = gm.fit, gm.score_model, gm.energy, gm.DenoisingScoreMatching, gm.ContrastiveDivergence, gm.Langevin  # lazy names
