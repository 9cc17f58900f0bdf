r"""Several samplers in turn, each moving its own variables with the others held: `gm.blocks`.

Each block's kernel leaves $p(x_b \mid x_{-b})$ invariant, so their sequence leaves $p(x)$ invariant. The others have
moved since a block's last turn, so its target is another one: a turn begins with `Sampler.refresh`, which keeps a
velocity and nothing that was computed of the old target.

Reference:
    Gelfand and Smith, *Sampling-based approaches to calculating marginal densities*, 1990.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace
from gmdsl.graph.factor import Names
from gmdsl.inference.adapter import Adapter, adapters_of
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import EVENTS, Stats
from gmdsl.inference.target import States, Target


class Blocks(Sampler):
    """Groups of variables, each with a sampler of its own. Made by `gm.blocks`.

    Attributes:
        names: the variables of each block.
        parts: the sampler of each block.
        places: where the variables of each block lie in the flat vector; set when a model is sampled.
    """

    names: tuple[Names, ...] = eqx.field(static=True)
    parts: tuple[Any, ...]
    places: tuple[tuple[int, ...], ...] = eqx.field(static=True, default=())

    def __repr__(self) -> str:
        of = lambda names: repr(names[0] if len(names) == 1 else names)  # noqa: E731
        return f"blocks({{{', '.join(f'{of(n)}: {p!r}' for n, p in zip(self.names, self.parts, strict=True))}}})"

    @property
    def adapts(self) -> Any:
        return tuple(
            InBlock(number, rule, self.places[number] if self.places else (), _label(self.names[number]))
            for number, part in enumerate(self.parts)
            for rule in adapters_of(part)
        )

    @property
    def bias(self) -> str | None:
        found = [f"{_label(names)}: {p.bias}" for names, p in zip(self.names, self.parts, strict=True) if p.bias]
        return "; ".join(found) or None

    @property
    def lockstep(self) -> bool:
        return all(part.lockstep for part in self.parts)

    def bound(self, density: Any) -> "Blocks":
        """The same blocks with their places in the flat vector of a model, and their samplers bound to it.

        Raises:
            SpecError: a name that the model does not have, a variable without a block, or a sampler that cannot move
                the variables of its block.
        """
        known = {slot.name: slot for slot in density.target.slots}
        given = [name for names in self.names for name in names]
        for name in given:
            if name not in known:
                raise SpecError(f"blocks(...): there is no free variable {name!r}; they are {', '.join(known)}.")
        missing = [name for name in known if name not in given]
        if missing:
            raise SpecError(f"blocks(...): {missing[0]} is in no block. Give every free variable a sampler.")
        places = tuple(
            tuple(i for name in names for i in range(known[name].start, known[name].stop)) for names in self.names
        )
        parts = (part.bound(OfBlock(density, names)) for names, part in zip(self.names, self.parts, strict=True))
        return Blocks(self.names, tuple(parts), places)

    def init(self, key: Array, target: Target, x: Float[Array, " dim"]) -> "Turns":
        inner = (
            part.init(jax.random.fold_in(key, number), BlockTarget(target, x, places), x[jnp.asarray(places)])
            for number, (part, places) in enumerate(zip(self.parts, self.places, strict=True))
        )
        return Turns(x, tuple(inner))

    def position(self, state: "Turns") -> Float[Array, " dim"]:
        return state.x

    def step(self, key: Array, target: Target, state: "Turns") -> tuple["Turns", Stats]:
        x, inner, told = state.x, list(state.inner), {}
        flags = dict.fromkeys(EVENTS, jnp.zeros((), bool))
        for number, (names, part, places) in enumerate(zip(self.names, self.parts, self.places, strict=True)):
            key_start, key_step = jax.random.split(jax.random.fold_in(key, number))
            block = BlockTarget(target, x, places)
            inner[number], stats = part.step(key_step, block, part.refresh(key_start, block, inner[number]))
            x = x.at[jnp.asarray(places)].set(part.position(inner[number]).astype(x.dtype))
            if getattr(part, "step_size", None) is not None:
                stats = {"step_size": part.step_size, **stats}
            told |= {f"{name}_{_label(names)}": value for name, value in stats.items() if name != "lp"}
            flags |= {name: flags[name] | stats[name] for name in EVENTS if name in stats}
        seen = {name for name in EVENTS if any(stat.startswith(f"{name}_") for stat in told)}
        return Turns(x, tuple(inner)), {**told, **{name: flags[name] for name in seen}}


class Turns(NamedTuple):
    """The position of everything, and the states of the samplers of the blocks after their last turns."""

    x: Float[Array, " dim"]
    inner: tuple[Any, ...]


@dataclass(frozen=True)
class OfBlock:
    """What the sampler of one block is bound to: the whole model, of which it moves some variables.

    Attributes:
        density: the compiled model.
        free: the variables of the block.
    """

    density: Any
    free: Names

    @property
    def model(self) -> Any:
        """The whole model."""
        return self.density.model

    @property
    def target(self) -> Any:
        """The density of the whole model."""
        return self.density.target

    @property
    def spaces(self) -> Any:
        """Space of every variable."""
        return self.density.spaces


class BlockTarget(Target):
    """The density of one block given the rest.

    Attributes:
        whole: the density of everything.
        x: the position of everything; what lies in the block is replaced.
        places: where the block lies.
    """

    whole: Target
    x: Array
    places: tuple[int, ...] = eqx.field(static=True)

    @property
    def dim(self) -> int:
        return len(self.places)

    @property
    def states(self) -> States:
        return tuple(self.whole.states[i] for i in self.places)

    def log_density(self, x: Float[Array, " dim"]) -> Float[Array, ""]:
        return self.whole.log_density(self.x.at[jnp.asarray(self.places)].set(x))

    def minibatch(self, key: Array, batches: Any) -> "BlockTarget":
        return BlockTarget(self.whole.minibatch(key, batches), self.x, self.places)


class InBlock(Adapter):
    """An adapter of one block's sampler.

    Attributes:
        number: which block.
        rule: the adapter.
        places: where the block lies in the flat vector.
        label: the name of the block in the stats.
    """

    number: int = eqx.field(static=True)
    rule: Adapter
    places: tuple[int, ...] = eqx.field(static=True)
    label: str = eqx.field(static=True)

    def start(self, sampler: Sampler, dim: int) -> tuple[Any, Sampler]:
        state, part = self.rule.start(self._part(sampler), len(self.places))
        return state, self._with(sampler, part)

    def update(
        self, state: Any, sampler: Sampler, position: Float[Array, " dim"], score: Any, stats: Stats
    ) -> tuple[Any, Sampler]:
        end = f"_{self.label}"
        own = {name.removesuffix(end): value for name, value in stats.items() if name.endswith(end)}
        own |= {name: value for name, value in stats.items() if name.startswith("warmup_")}
        missing = [name for name in self.rule.needs if name not in own]
        if missing:
            kernel, rule = type(self._part(sampler)).__name__, type(self.rule).__name__
            raise SpecError(f"{kernel}.step(...): {rule} needs the stat {missing[0]!r}. Return it or drop the rule.")
        state, part = self.rule.update(state, self._part(sampler), position[jnp.asarray(self.places)], None, own)
        return state, self._with(sampler, part)

    def finish(self, state: Any, sampler: Sampler) -> Sampler:
        return self._with(sampler, self.rule.finish(state, self._part(sampler)))

    def _part(self, sampler: Any) -> Any:
        return sampler.parts[self.number]

    def _with(self, sampler: Any, part: Any) -> Any:
        parts = tuple(part if i == self.number else old for i, old in enumerate(sampler.parts))
        return replace(sampler, parts=parts)


def blocks(samplers: Mapping[Any, Sampler]) -> Blocks:
    """A sampler that moves groups of variables in turn, each by a sampler of its own.

    Args:
        samplers: from the name of a variable, or a tuple of names, to the sampler that moves it. Together they name
            every free variable once; each block adapts on its own, in the order given.

    Raises:
        SpecError: nothing, a variable in two blocks, or something that is not a sampler.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(4.0 * k, 1.0))
    >>> tree = gm.sample(model, gm.blocks({"x": gm.NUTS(), "k": gm.Gibbs()}), draws=50, warmup=50, progress=False)
    >>> sorted(set(tree["posterior"]["k"].values.ravel().tolist()))
    [0, 1]
    """
    if not samplers:
        raise SpecError('blocks({}): at least one block is needed, such as {"x": gm.NUTS()}.')
    names = tuple((key,) if isinstance(key, str) else tuple(key) for key in samplers)
    given = [name for group in names for name in group]
    twice = [name for name in given if given.count(name) > 1]
    if twice:
        raise SpecError(f"blocks(...): {twice[0]} is in two blocks. Name it once.")
    for group, part in zip(names, samplers.values(), strict=True):
        if isinstance(part, Blocks) or not isinstance(part, Sampler):
            listed, kind = ", ".join(group), type(part).__name__
            raise SpecError(f"blocks({{{listed}: ...}}): a sampler is needed, such as gm.NUTS(), not {kind}.")
    return Blocks(names, tuple(samplers.values()))


def _label(names: Names) -> str:
    return "_".join(names)
