"""The energies of the Langevin table, as numbers: the same for all contenders.

* `mixture`: eight normals of scale 0.4 on a circle of radius 2, equal weights; two dimensions.
* `mlp`: half the squared length plus a network 2-128-128-128-1, silu.
* `conv`: half the squared length plus a small network of images of 28 x 28: convolutions 5 x 5 to 8 channels, 3 x 3 to
  16, strides of 2, silu, then a linear layer.
"""

import itertools

import numpy as np

RADIUS = 2.0  # starts are uniform on (-2, 2), gmdsl's default
SCALE = 0.4
ANGLES = 2 * np.pi * np.arange(8) / 8
MEANS = (2.0 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)).astype("float32")
STEP = 0.05  # of all: drift STEP / 2 * score, noise sqrt(STEP)
DIMS = {"mixture": (2,), "mlp": (2,), "conv": (1, 28, 28)}


def _layer(rng, *shape):
    """Weights and biases, uniform within 1 / sqrt(inputs)."""
    bound = 1 / np.sqrt(np.prod(shape[1:]))
    return rng.uniform(-bound, bound, shape).astype("float32"), rng.uniform(-bound, bound, shape[0]).astype("float32")


def mlp():
    """Weights (out, in) and biases of the four layers."""
    rng, sizes = np.random.default_rng(0), (2, 128, 128, 128, 1)
    return [_layer(rng, after, before) for before, after in itertools.pairwise(sizes)]


def conv():
    """Kernels (out, in, height, width) and biases of two convolutions, then weights (1, 784) and bias."""
    rng = np.random.default_rng(1)
    return [_layer(rng, 8, 1, 5, 5), _layer(rng, 16, 8, 3, 3), _layer(rng, 1, 784)]


def starts(case, seed):
    """Starting points, (chains, dim...), for contenders that draw none of their own."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-RADIUS, RADIUS, (case["chains"], *DIMS[case["energy"]])).astype("float32")


def found(draws, case, steps=None):
    """What a run reports: its draws as (chain, draw, dim), and its work in steps of one chain."""
    steps = steps or case["draws"] * case["thin"]
    return {"draws": draws.reshape(*draws.shape[:2], -1), "work": float(case["chains"] * steps)}
