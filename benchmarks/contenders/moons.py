"""What is learned in the table of training, as numbers: the same for all contenders.

Denoising score matching of two moons under VP noise, by a network 2-128-128-128-2 with 16 frequencies of the time
entering every hidden layer (`gm.nets.TimeMLP`), batches of 256, Adam. Persistent contrastive divergence of the same
data by an energy 2-128-128-1, silu, plus half the squared length: 100 chains, 20 Langevin steps per update.
"""

import numpy as np

BATCH, RATE = 256, 1e-3
CHAINS, MOVES, STEP = 100, 20, 0.01
FREQUENCIES = (2 * np.pi * np.geomspace(0.1, 16.0, 16)).astype("float32")


def data(n=4000):
    """Two moons, standardised."""
    rng = np.random.default_rng(0)
    angle, upper = rng.uniform(0, np.pi, n), rng.integers(0, 2, n)
    x = np.stack([np.cos(angle) + (1 - upper), np.sin(angle)], 1) * np.where(upper, 1, -1)[:, None]
    x = x + rng.normal(scale=0.08, size=x.shape)
    return ((x - x.mean(0)) / x.std(0)).astype("float32")


def _uniform(rng, inputs, *shape):
    return rng.uniform(-(inputs**-0.5), inputs**-0.5, shape).astype("float32")


def denoiser():
    """Weights (out, in) and biases of the four layers, then the two maps of the time into the later hidden layers."""
    rng, sizes = np.random.default_rng(0), ((34, 128), (128, 128), (128, 128), (128, 2))
    layers = [(_uniform(rng, a, b, a), _uniform(rng, a, b)) for a, b in sizes]
    return layers, [_uniform(rng, 32, 128, 32) for _ in range(2)]


def energy():
    """Weights (out, in) and biases of the three layers."""
    rng, sizes = np.random.default_rng(1), ((2, 128), (128, 128), (128, 1))
    return [(_uniform(rng, a, b, a), _uniform(rng, a, b)) for a, b in sizes]


def total(t):
    """The integral of VP's rate from 0 to t."""
    return 0.1 * t + 9.95 * t**2


def log_ratio(t):
    """log(sigma / alpha) at t."""
    return 0.5 * np.log(np.expm1(total(t)))


def grid():
    """Levels of noise, uniform in log(sigma / alpha) from t = 0.001 to 1, and the times that belong to them."""
    levels = np.linspace(0.0, 1.0, 1025)
    ratio = log_ratio(1e-3) + levels * (log_ratio(1.0) - log_ratio(1e-3))
    area = np.log1p(np.exp(2 * ratio))
    times = (-0.1 + np.sqrt(0.01 + 4 * 9.95 * area)) / (2 * 9.95)
    return levels.astype("float32"), times.astype("float32")
