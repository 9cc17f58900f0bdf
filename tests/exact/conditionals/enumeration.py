"""Laws of few discrete variables by enumeration, and how far draws are from them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

SPIN, BIT, LABEL = (2, -1.0, 2.0), (2, 0.0, 1.0), (3, 0.0, 1.0)
CHAINS = 4096


def all_states(values):
    return np.array(list(itertools.product(*[[first + gap * k for k in range(n)] for n, first, gap in values])))


def law(density, values):
    """The states and their probabilities."""
    states = all_states(values)
    heights = np.asarray(jax.vmap(density)(jnp.asarray(states, jnp.float32)), float)
    weights = np.exp(heights - heights.max())
    return states, weights / weights.sum()


def worst_z(draws, states, chances):
    """The largest z-score of all means and products of pairs, of independent draws."""
    i, j = np.triu_indices(states.shape[1], 1)
    tests = lambda s: np.concatenate([s, s[:, i] * s[:, j]], 1)  # noqa: E731
    exact = chances @ tests(states)
    spread = np.sqrt(np.maximum(chances @ tests(states) ** 2 - exact**2, 1e-12))
    return np.abs((tests(draws).mean(0) - exact) / (spread / np.sqrt(len(draws)))).max()


def interacting(density, values):
    """Which pairs have a mixed difference, by enumeration of variables of two values."""
    count = len(values)
    heights = np.asarray(jax.vmap(density)(jnp.asarray(all_states(values), jnp.float32)), float)
    heights = heights.reshape((2,) * count)
    found = np.zeros((count, count), bool)
    for i, j in itertools.permutations(range(count), 2):
        found[i, j] = np.abs(np.diff(np.diff(heights, axis=i), axis=j)).max() > 1e-4
    return found
