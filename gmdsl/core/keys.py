"""Random keys of chains and of their steps: the same for a chain, however many others there are.

A counter-based generator such as Threefry gives independent streams to different keys, however near
they are (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011), so the key of step i
is the key of the chain with i added to its second word. Folding i in would cost one more call of the
generator in each step, half of what the noise of a chain in two dimensions costs.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

_IMPLEMENTATION = "threefry2x32"
_CHAINS = 1  # tells the stream of the keys from that of the starts


def chain_keys(seed: int, chains: range) -> Array:
    """Random keys, one per chain; a chain has the same one in every run of this seed.

    >>> bool((chain_keys(3, range(2, 4)) == chain_keys(3, range(9))[2:4]).all())
    True
    """
    words = np.random.default_rng([seed, _CHAINS]).integers(0, 2**32, (chains.stop, 2), np.uint32)
    return jax.random.wrap_key_data(jnp.asarray(words[chains.start :]), impl=_IMPLEMENTATION)


def step_key(chain: Array, index: Int[Array, ""]) -> Array:
    """The key of one step of a chain.

    Args:
        chain: a key of `chain_keys`.
        index: number of the step, from 0.
    """
    words = jax.random.key_data(chain)
    moved = words.at[1].add(jnp.asarray(index).astype(jnp.uint32))
    return jax.random.wrap_key_data(moved, impl=_IMPLEMENTATION)
