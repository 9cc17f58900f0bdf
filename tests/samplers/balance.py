"""Detailed balance of a kernel on a few states, from how often it goes from each to each.

The law is asymmetric in every element, and its first differences are wrong by about one at places (an interaction of
three, a nonlinear term), so that proposals must be corrected. A flux from one state to another and the one back differ
by z standard errors; of the 66 pairs of 12 states the largest |z| exceeds 5 with probability 4e-5.
"""

import jax
import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget

LIMIT = 5.0
STATES = np.array([[s, k, b] for s in (-1, 1) for k in range(3) for b in (0, 1)], float)


def energy(s, k, b):
    table = jnp.array([[0.3, -0.4], [0.9, 0.2], [-0.7, 0.6]])
    return -table[k, b] - 0.8 * s * (k == 2) * b - jax.nn.softplus(s + 1.5 * b - k) - 0.2 * s


def model():
    return gm.energy(energy, s=gm.Spin(), k=gm.Categorical(3), b=gm.Binary())


def law():
    """Probabilities of the twelve states."""
    weights = np.array([-float(energy(int(s), int(k), int(b))) for s, k, b in STATES])
    weights = np.exp(weights - weights.max())
    return weights / weights.sum()


def transitions(sampler, count=40_000):
    """How often the kernel goes from each state to each."""
    target = FlatTarget.of(model())
    sampler = sampler.bound(gm.compile(model()))

    def end(key, x):
        key_start, key_step = jax.random.split(key)
        state, _ = sampler.step(key_step, target, sampler.init(key_start, target, x))
        return jnp.argmax(jnp.all(sampler.position(state) == jnp.asarray(STATES, x.dtype), axis=1))

    @jax.jit
    def ends(key, x):
        return jnp.bincount(jax.vmap(end, (0, None))(jax.random.split(key, count), x), length=len(STATES))

    return np.array([ends(jax.random.key(i), jnp.asarray(x, float)) for i, x in enumerate(STATES)]) / count, count


def worst_imbalance(sampler):
    """The largest |z| of all differences of a flux and the flux back, and the share of moves."""
    p, count = transitions(sampler)
    pi = law()[:, None]
    flux, variance = pi * p, pi**2 * p * (1 - p) / count
    z = (flux - flux.T) / np.sqrt(np.maximum(variance + variance.T, 1e-30))
    return np.abs(z[np.triu_indices(len(pi), 1)]).max(), 1 - float(np.sum(pi[:, 0] * np.diag(p)))


def z_of(draws, truth):
    """z-score of a mean over chains, with the effective size of its autocorrelated draws."""
    import arviz_stats

    return (draws.mean() - truth) / float(arviz_stats.mcse(draws, method="mean"))
