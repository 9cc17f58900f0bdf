r"""Sums over all states of a few two-valued variables: $Z = \sum_s e^{f(s)}$, means, and draws.

States are listed in the order of binary numbers, the last variable fastest, and in blocks, so that memory stays
bounded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

MOST = 20  # variables that are enumerated: a million states
BLOCK = 2**14


@dataclass(frozen=True)
class Enumerated:
    """The probabilities of all states.

    Attributes:
        count: how many variables.
        values: the two values of each.
        log_z: the logarithm of the sum of all weights.
        probabilities: of the states, (2**count,).
    """

    count: int
    values: tuple[int, int]
    log_z: float
    probabilities: np.ndarray

    def mean_of(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The mean of a function that maps states, (n, count), to (n, ...)."""
        parts = [
            np.tensordot(self.probabilities[numbers], function(states_of(numbers, self.count, self.values)), 1)
            for numbers in _blocks(self.count)
        ]
        return np.sum(parts, axis=0)

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """Independent draws, (count, variables)."""
        cumulative = np.cumsum(self.probabilities)
        numbers = np.searchsorted(cumulative, random.random(count) * cumulative[-1], side="right")
        return states_of(np.minimum(numbers, len(cumulative) - 1), self.count, self.values)


def enumerate_states(log_weight: Callable[[np.ndarray], np.ndarray], count: int, values: tuple[int, int]) -> Enumerated:
    """All states of `count` variables with two values each.

    Args:
        log_weight: the unnormalised log-probabilities of states, (n, count) to (n,).
        count: how many variables, at most `MOST`.
        values: the two values.

    >>> pair = enumerate_states(lambda s: 0.5 * s[:, 0] * s[:, 1], 2, (-1, 1))
    >>> round(pair.log_z, 6), round(float(pair.mean_of(lambda s: s[:, 0] * s[:, 1])), 6)  # log(4 cosh 0.5), tanh 0.5
    (1.506409, 0.462117)
    """
    logs = np.concatenate([log_weight(states_of(numbers, count, values)) for numbers in _blocks(count)])
    log_z = float(np.logaddexp.reduce(logs))
    return Enumerated(count, values, log_z, np.exp(logs - log_z))


def states_of(numbers: np.ndarray, count: int, values: tuple[int, int]) -> np.ndarray:
    """The states with these numbers, one a row.

    >>> states_of(np.array([0, 1, 2]), 2, (-1, 1)).tolist()
    [[-1, -1], [-1, 1], [1, -1]]
    """
    bits = (numbers[:, None] >> np.arange(count - 1, -1, -1)) & 1
    return np.asarray(values)[bits]


def _blocks(count: int) -> Iterator[np.ndarray]:
    total = 2**count
    for first in range(0, total, BLOCK):
        yield np.arange(first, min(first + BLOCK, total))
