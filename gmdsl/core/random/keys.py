"""Random keys of chains and of their steps: the same for a chain, however many others there are.

A counter-based generator such as Threefry gives independent streams to different keys, however near
they are (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011), so the key of step i
is the key of the chain with i added to its second word. Folding i in would cost one more call of the
generator in each step, half of what the noise of a chain in two dimensions costs.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt32

from gmdsl.core.errors import SpecError

_IMPLEMENTATION = "threefry2x32"
_CHAINS = 1  # tells the stream of the keys from that of the starts


def checked_seed(operation: str, seed: Any) -> int:
    """A seed as a plain number.

    Raises:
        SpecError: no whole number from 0 to 2^63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= int(seed) < 2**63:
        raise SpecError(f"{operation}(seed={seed!r}): a whole number from 0 on is needed, such as seed=0.")
    return int(seed)


def seed_key(operation: str, seed: Any) -> Array:
    """The random key of a seed; seeds of more than 32 bits have keys of their own in single precision, too.

    >>> import jax
    >>> bool((seed_key("predict", 7) == jax.random.key(7)).all())
    True
    >>> bool((seed_key("predict", 2**32) == jax.random.key(0)).all())
    False
    """
    high, low = divmod(checked_seed(operation, seed), 2**32)
    return as_keys(jnp.asarray([high, low], np.uint32))


def row_seed(seed: int, row: int) -> int:
    """A seed for one row of data, other than those of other rows and of other seeds."""
    return int(np.random.SeedSequence([seed, row]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def chain_words(seed: int, chains: range) -> UInt32[np.ndarray, "chains 2"]:
    """The words of the keys of chains, on the host; a chain has the same one in every run of this seed.

    >>> bool((chain_words(3, range(2, 4)) == chain_words(3, range(9))[2:4]).all())
    True
    """
    words = np.random.default_rng([seed, _CHAINS]).integers(0, 2**32, (chains.stop, 2), np.uint32)
    return words[chains.start :]


def as_keys(words: UInt32[Array, "*shape 2"]) -> Array:
    """The keys of these words."""
    return jax.random.wrap_key_data(words, impl=_IMPLEMENTATION)


def step_key(chain: Array, index: Int[Array, ""]) -> Array:
    """The key of one step of a chain, or of one part of a step.

    Args:
        chain: the key of a chain, or another one of which nothing else is made.
        index: number of the step, from 0.
    """
    words = jax.random.key_data(chain)
    moved = words.at[1].add(jnp.asarray(index).astype(jnp.uint32))
    return jax.random.wrap_key_data(moved, impl=jax.random.key_impl(chain))
