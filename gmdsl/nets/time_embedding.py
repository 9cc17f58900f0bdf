r"""The sinusoidal embedding of time, $\phi(t) = (\sin 2\pi f_k t,\ \cos 2\pi f_k t)_{k = 1, \dots, K}$.

A network that gets t as one number bends slowly in it; one that gets waves of t, from slow to fast,
can change on every scale from $1 / f_1$ to $1 / f_K$. The frequencies grow geometrically. In the
sources t counts words or steps, up to 1000; here t runs from 0 to `t_max`, mostly 1, so frequencies
are given in cycles per unit of time.

References:
    Vaswani et al., *Attention is all you need*, 2017, arXiv:1706.03762, section 3.5.
    Ho, Jain, Abbeel, *Denoising diffusion probabilistic models*, 2020, arXiv:2006.11239, appendix B.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError


class TimeEmbedding(eqx.Module):
    """A vector of sines and cosines of a scalar time; nothing in it is learned.

    The slowest wave tells any two times apart up to half its period (t below 5 for `lowest=0.1`); the
    fastest one sets the resolution, and how fast the embedding can change.

    Attributes:
        count: number of frequencies K; the embedding has length 2 K.
        lowest: slowest wave, in cycles per unit of time.
        highest: fastest wave, in cycles per unit of time.

    >>> embed = TimeEmbedding(count=2, lowest=0.5, highest=1.0)
    >>> embed(0.5).round(3)                         # sin(pi/2), sin(pi), cos(pi/2), cos(pi)
    Array([ 1., -0., -0., -1.], dtype=float32)
    """

    count: int = eqx.field(static=True, default=16)
    lowest: float = eqx.field(static=True, default=0.1)
    highest: float = eqx.field(static=True, default=16.0)

    def __check_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int | np.integer) or self.count < 1:
            raise SpecError(f"TimeEmbedding(count={self.count!r}): give a whole number of at least 1, such as 16.")
        if not 0.0 < self.lowest <= self.highest < np.inf:
            raise SpecError(
                f"TimeEmbedding(lowest={self.lowest!r}, highest={self.highest!r}): 0 < lowest <= highest is needed,"
                " in cycles per unit of time."
            )

    @property
    def size(self) -> int:
        """Length of the embedding."""
        return 2 * self.count

    @property
    def frequencies(self) -> np.ndarray:
        """The frequencies, shape (count,), in cycles per unit of time."""
        return np.geomspace(self.lowest, self.highest, self.count)

    def __call__(self, t: Any) -> Float[Array, " size"]:
        """The embedding of one time.

        Args:
            t: a number, an array of shape (); use `jax.vmap` for many.

        Raises:
            SpecError: t is not one number.
        """
        time = jnp.asarray(t, jnp.result_type(t, float))
        if time.shape != ():
            raise SpecError(f"TimeEmbedding(t): shape {time.shape}, but a time is one number. Use jax.vmap for many.")
        angle = jnp.asarray(2.0 * np.pi * self.frequencies, time.dtype) * time
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)])
