r"""Variables of two values as bits: the odds in terms of bits, by couplings of pairs.

With $x_i = a_i + g_i u_i$, $u_i \in \{0, 1\}$, a quadratic log-density gives the odds

$$\log \frac{p(u_i = 1 \mid u_{-i})}{p(u_i = 0 \mid u_{-i})} = b_i + \sum_{j \neq i} G_{ij} u_j,
\qquad G_{ij} = g_i J_{ij} g_j.$$
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse import csr_array


class BitOdds(NamedTuple):
    """The odds of bits.

    Attributes:
        base: where all others are zero.
        gains: what each pair adds where the other is one, in the order of the pairs; zero on the diagonal.
    """

    base: Float[Array, " dim"]
    gains: Float[Array, " pairs"]


def bit_odds(
    pairs: csr_array, slopes: Float[Array, " dim"], values: Float[Array, " pairs"], first: np.ndarray, gap: np.ndarray
) -> BitOdds:
    """The odds of bits for couplings of numbers.

    Args:
        pairs: which variables interact.
        slopes: of the log-density half-way between the values of a variable, where its neighbours are zero.
        values: couplings of the pairs.
        first: lower value of each variable.
        gap: its other value less that.

    >>> both = csr_array(np.array([[False, True], [True, False]]))
    >>> base, gains = bit_odds(both, jnp.zeros(2), jnp.full(2, 0.25), -np.ones(2), 2 * np.ones(2))
    >>> base.tolist(), gains.tolist()
    ([-0.5, -0.5], [1.0, 1.0])
    """
    rows, columns = np.repeat(np.arange(len(first)), np.diff(pairs.indptr)), pairs.indices
    apart = jnp.where(rows == columns, 0, values)
    base = gap * jnp.asarray(slopes).at[rows].add(apart * first[columns])
    return BitOdds(jnp.asarray(base), gap[rows] * apart * gap[columns])
