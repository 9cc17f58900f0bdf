"""The settings that a warm-up found, as a sampler: reused chain by chain, or pooled into one.

A run keeps what its adapters tuned in the group `tuned` of its tree, one entry per chain. `gm.tuned(tree, sampler)`
makes a sampler of it that is tuned no further: for more draws, or new data of the same kind, without warm-up.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import named_numbers, with_numbers
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats
from gmdsl.inference.target import Target
from gmdsl.run.chains.kernel import started_sampler


class Tuned(Sampler):
    """A sampler with the settings of a warm-up, one set per chain; made by `gm.tuned`.

    Attributes:
        sampler: the sampler; its arrays have a leading axis of chains.
    """

    sampler: Sampler

    @property
    def bias(self) -> str | None:
        return self.sampler.bias

    @property
    def lockstep(self) -> bool:
        return self.sampler.lockstep

    @property
    def step_size(self) -> Any:
        """That of each chain, where the sampler has one."""
        return self.sampler.step_size  # ty: ignore[missing-attribute]

    @property
    def chains(self) -> int:
        """How many chains were tuned."""
        return next(iter(named_numbers(self.sampler).values())).shape[0]

    def of(self, chain: int) -> Sampler:
        """The sampler as one chain had it."""
        return jax.tree.map(lambda leaf: leaf[chain] if eqx.is_array(leaf) else leaf, self.sampler)

    def pooled(self) -> Sampler:
        """One sampler for any number of chains.

        Numbers above zero, such as step sizes, are averaged in the logarithm, arrays, such as variances, as they are.
        A low-rank metric has no mean; it is that of the chain with the median scales.
        """
        from gmdsl.inference.kernels.metric import LowRank

        return jax.tree.map(_mean, self.sampler, is_leaf=lambda node: isinstance(node, LowRank))

    def bound(self, density: Any) -> "Tuned":
        return Tuned(self.sampler.bound(density))

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> Any:
        return self.sampler.init(key, target, x)

    def position(self, state: Any) -> Float[Array, " dim"]:
        return self.sampler.position(state)

    def step(self, key: Array, target: Target, state: Any) -> tuple[Any, Stats]:
        return self.sampler.step(key, target, state)


def tuned(tree: Any, sampler: Sampler) -> Tuned:
    """The sampler of a run with the settings that its warm-up found.

    Args:
        tree: the result of `gm.sample` or `gm.resume`.
        sampler: the sampler that the run was given.

    Returns:
        A sampler whose chains each go on with their own settings, `gm.sample(model, tuned, warmup=0)`; `tuned.pooled()`
        is one sampler for any number of chains.

    Raises:
        SpecError: nothing was tuned in the run, or it was another sampler.

    >>> import gmdsl as gm
    >>> bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    >>> tree = gm.sample(bowl, gm.HMC(), draws=10, warmup=200, progress=False)
    >>> tuned = gm.tuned(tree, gm.HMC())
    >>> more = gm.sample(bowl, tuned, init=tree, warmup=0, draws=20, progress=False)
    >>> bool((more["sample_stats"]["step_size"][:, 0] == tree["sample_stats"]["step_size"][:, 0]).all())
    True
    >>> many = gm.sample(bowl, tuned.pooled(), chains=100, warmup=0, draws=20, progress=False)
    """
    name = type(sampler).__name__
    if "tuned" not in getattr(tree, "children", {}):
        raise SpecError(f"tuned(tree, {name}): nothing was tuned in this run. Pass a run that had a warm-up.")
    if tree.attrs["sampler"] != name:
        raise SpecError(f"tuned(tree, {name}): the run was made by {tree.attrs['sampler']}. Pass that sampler.")
    dim = sum(int(np.prod(v.shape[2:])) for v in tree["unconstrained_posterior"].data_vars.values())
    held = {str(key): jnp.asarray(value.values) for key, value in tree["tuned"].data_vars.items()}
    started = started_sampler(sampler, dim)
    missing = named_numbers(started).keys() ^ held.keys()
    if missing:
        raise SpecError(
            f"tuned(tree, {name}): {sorted(missing)[0]} is a setting of one and not of the other. Pass the sampler with"
            " the settings that the run was given."
        )
    return Tuned(with_numbers(started, held))


def _mean(node: Any) -> Any:
    from gmdsl.inference.kernels.metric import LowRank

    if isinstance(node, LowRank):
        size = jnp.mean(jnp.log(node.scales), axis=1)
        middle = int(jnp.argsort(size)[len(size) // 2])
        return jax.tree.map(lambda leaf: leaf[middle], node)
    if not eqx.is_array(node):
        return node
    values = np.asarray(node)
    return np.exp(np.log(values).mean(0)) if values.ndim == 1 and (values > 0).all() else values.mean(0)
