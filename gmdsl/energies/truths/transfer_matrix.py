r"""Transfer matrices: exact sums on a lattice that is narrow one way and as long as one likes the other.

With $V$ the weight inside of a row and $W$ that between two neighbouring rows,
$T(r, r') = V(r)^{1/2} W(r, r') V(r')^{1/2}$ and

$$Z_{ring} = \operatorname{tr} T^L = \sum_i \lambda_i^L, \qquad Z_{free} = v^\top T^{L-1} v, \quad v = V^{1/2},$$

for L rows that close to a ring or end freely. The same product, cut at a row, gives the law of that row; cut one
after the other, exact draws.

Reference:
    Kramers and Wannier, *Statistics of the two-dimensional ferromagnet*, 1941; Baxter, *Exactly solved models in
    statistical mechanics*, 1982.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np

MOST_ROWS = 1024  # states of a row
BLOCK = 4096  # draws at a time, so that memory stays bounded
MOST_DRAWN = 256  # where exact draws of a ring are made: they keep all powers of T


@dataclass(frozen=True)
class Strip:
    """A lattice as a sequence of rows.

    Attributes:
        within: log-weights of a row, (states,).
        between: log-weights of two neighbouring rows, symmetric: (states, states).
        length: how many rows.
        ring: whether the last row is a neighbour of the first.
    """

    within: np.ndarray
    between: np.ndarray
    length: int
    ring: bool

    @functools.cached_property
    def _scaled(self) -> tuple[np.ndarray, float]:
        """T divided by its largest element, and the logarithm of that."""
        log_t = self.between + 0.5 * (self.within[:, None] + self.within)
        top = float(log_t.max())
        return np.exp(log_t - top), top

    @functools.cached_property
    def _spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        return np.linalg.eigh(self._scaled[0])

    @functools.cached_property
    def _forward(self) -> tuple[list[np.ndarray], float]:
        """The partial products $T^k v$, each divided by its sum, and the logarithm of what was divided out."""
        matrix, top = self._scaled
        first = np.exp(0.5 * (self.within - self.within.max()))
        vector, logs = first, 0.5 * self.within.max()
        found = []
        for _ in range(self.length):
            found.append(vector / vector.sum())
            logs += np.log(vector.sum()) + top
            vector = matrix @ found[-1]
        end = np.log(first @ found[-1]) + 0.5 * self.within.max()
        return found, float(logs - top + end)

    def log_z(self) -> float:
        """The logarithm of the sum over all states of the lattice."""
        if not self.ring:
            return self._forward[1]
        values = self._spectrum[0] / self._spectrum[0][-1]  # the largest is positive: T has positive elements
        powers = np.sum(values**self.length)
        return float(self.length * (self._scaled[1] + np.log(self._spectrum[0][-1])) + np.log(powers))

    def law_of_rows(self) -> np.ndarray:
        """The probabilities of the states of each row, (length, states); on a ring all rows have one law."""
        if not self.ring:
            forward = np.stack(self._forward[0])
            laws = forward * forward[::-1]
        else:
            values, vectors = self._spectrum
            laws = ((vectors**2) @ (values / values[-1]) ** self.length)[None].repeat(self.length, 0)
        return laws / laws.sum(1, keepdims=True)

    @property
    def drawable(self) -> bool:
        """Whether draws are made: always where the rows end freely, for few states on a ring."""
        return not self.ring or len(self.within) <= MOST_DRAWN

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """Independent draws of all rows, as numbers of states: (count, length)."""
        sizes = [min(BLOCK, count - first) for first in range(0, count, BLOCK)]
        return np.concatenate([np.zeros((0, self.length), int), *(self._draw_some(random, size) for size in sizes)])

    def _draw_some(self, random: np.random.Generator, count: int) -> np.ndarray:
        matrix = self._scaled[0]
        if not self.ring:
            ahead = self._forward[0][::-1]  # from row k to the free end, for k = 0, 1, ...
            rows = [_choose(random, np.broadcast_to(self.law_of_rows()[0], (count, len(self.within))))]
            for vector in ahead[1:]:
                rows.append(_choose(random, matrix[rows[-1]] * vector))
            return np.stack(rows, 1)
        first = _choose(random, np.broadcast_to(self.law_of_rows()[0], (count, len(self.within))))
        rows = [first]
        for power in self._powers(self.length - 1)[::-1]:  # T^(L-1), ..., T: back to the first row
            rows.append(_choose(random, matrix[rows[-1]] * power[:, first].T))
        return np.stack(rows, 1)

    def _powers(self, most: int) -> list[np.ndarray]:
        matrix = self._scaled[0]
        rest = itertools.accumulate(range(most - 1), lambda power, _: _unit(power @ matrix), initial=matrix)
        return list(rest)[:most]


def _unit(matrix: np.ndarray) -> np.ndarray:
    return matrix / matrix.max()


def _choose(random: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """One state per row of weights."""
    cumulative = np.cumsum(weights, axis=1)
    places = random.random(len(weights))[:, None] * cumulative[:, -1:]
    return np.minimum(np.sum(cumulative <= places, axis=1), weights.shape[1] - 1)


def rows_of(width: int, values: np.ndarray) -> np.ndarray:
    """All states of a row, (states, width), the last site fastest.

    >>> rows_of(2, np.array([-1, 1])).tolist()
    [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    """
    return np.stack(np.meshgrid(*[values] * width, indexing="ij"), -1).reshape(-1, width)
