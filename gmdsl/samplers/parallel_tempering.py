r"""Parallel tempering: copies at several temperatures that move, and trade places with their neighbours.

A copy at each $\beta_k$ is moved by a kernel that leaves $\pi_{\beta_k}$ invariant; the one at the reference is drawn
anew. Then neighbours trade places with probability $\min(1, e^a)$,

$$a = g(r_k, \beta_{k+1}) + g(r_{k+1}, \beta_k) - g(r_k, \beta_k) - g(r_{k+1}, \beta_{k+1}),$$

on the geometric path $a = (\beta_{k+1} - \beta_k)(r_k - r_{k+1})$ with $r = \log p - \log q$. Even and odd pairs take
turns, which makes the way of a copy through the temperatures ballistic: it is not reversible, and keeps going in its
direction until a swap is refused. The ladder is adapted in warm-up so that all pairs refuse the same share; the sum of
the rates, the barrier $\Lambda$, says how many rungs a path needs (about $2\Lambda$).

References:
    Geyer, *Markov chain Monte Carlo maximum likelihood*, 1991; Okabe et al., *Replica-exchange Monte Carlo method for
    the isobaric-isothermal ensemble*, 2001 (even and odd pairs); Syed, Bouchard-Cote, Deligiannidis, Doucet,
    *Non-reversible parallel tempering: a scalable highly parallel MCMC scheme*, JRSS B 84, 2022.
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gmdsl.adapt.each_rung import EachRung, of_rungs, stacked
from gmdsl.adapt.temperatures import as_schedule, equal_rejection, kept_static
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace
from gmdsl.inference.adapter import Adapter, adapters_of
from gmdsl.inference.path import ReplicaSampler, ReplicaTarget, check_move
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import Stats


class ParallelTempering(ReplicaSampler):
    """Non-reversible parallel tempering, on a path.

    A draw costs one turn: transitions of every copy, then swaps.

    Attributes:
        move: the kernel; its law must be exact (not `Langevin`). Its own adapters tune it at each rung.
        temperatures: how many steps from rung to rung (at first at $(k / K)^3$), or the betas, from 0 to 1.
        steps: transitions of each copy between swaps.
        adapt_ladder: whether warm-up moves the betas to equal rejection.
        ladder: the betas as they are tuned; set by warm-up.
        moves: the kernels of all rungs; set by warm-up.
    """

    move: Sampler
    temperatures: Any = eqx.field(default=10, converter=kept_static)
    steps: int = 1
    adapt_ladder: bool = True
    ladder: Any = None
    moves: Any = None

    def __check_init__(self) -> None:
        check_move("ParallelTempering", self.move)
        if not isinstance(self.steps, Integral) or self.steps < 1:
            raise SpecError(f"ParallelTempering(steps={self.steps!r}): at least one transition is needed.")
        if as_schedule("ParallelTempering", self.temperatures).fixed is None:
            raise SpecError(
                f"ParallelTempering(temperatures={self.temperatures}): the number of rungs is fixed for a run. Give a"
                " number of steps or the betas; warm-up moves them to equal rejection."
            )

    @property
    def betas(self) -> tuple[float, ...]:
        fixed = as_schedule("ParallelTempering", self.temperatures).fixed
        assert fixed is not None
        return fixed

    @property
    def adapts(self) -> Any:
        return (Rungs(EachRung(adapters_of(self.move), len(self.betas)), self.betas, self.adapt_ladder),)

    @property
    def lockstep(self) -> bool:
        return self.move.lockstep

    def bound(self, density: Any) -> Self:
        return replace(self, move=self.move.bound(density))

    def init(self, key: Array, target: Any, x: Float[Array, " dim"]) -> "Copies":
        rungs = len(self.betas)
        keys = jax.random.split(key, rungs)
        inner = _each(lambda move, key, beta, x: move.init(key, target.at(beta), x), self, keys, target.copies(x))
        none = jnp.zeros(rungs, bool)
        return Copies(inner, jnp.int32(0), none)

    def position(self, state: "Copies") -> Float[Array, " dim"]:
        return self._positions(state.inner)

    def step(self, key: Array, target: Any, state: "Copies") -> tuple["Copies", Stats]:
        key_move, key_draw, key_swap, key_new = jax.random.split(key, 4)
        inner, told = self._moved(key_move, target, self._drawn_anew(key_draw, target, state.inner))
        ratios = jax.vmap(target.log_ratio)(target.copies(self._positions(inner)))
        chances = swap_chances(target.interpolation, self._betas(), ratios)
        order = traded(key_swap, chances, state.turn)
        refreshed = _each(
            lambda move, key, beta, inner: move.refresh(key, target.at(beta), inner),
            self, jax.random.split(key_new, len(ratios)), jax.tree.map(lambda leaf: leaf[order], inner),
        )  # fmt: skip
        climbed, trips = _count_trips(state.climbed[order])
        stats = {name: value[-1] for name, value in told.items()}
        stats |= of_rungs(told)
        stats |= {"swap_rate": chances, "log_ratio": ratios[order], "round_trips": trips}
        return Copies(refreshed, state.turn + 1, climbed), stats

    def _moved(self, key: Array, target: ReplicaTarget, inner: Any) -> tuple[Any, Stats]:
        """All copies after their transitions, and the stats of the last one; acceptance is the mean."""

        def transition(number: Array, inner: Any) -> tuple[Any, Stats]:
            keys = jax.random.split(jax.random.fold_in(key, number), len(self.betas))
            return _each(lambda move, key, beta, inner: move.step(key, target.at(beta), inner), self, keys, inner)

        inner, told = transition(jnp.int32(0), inner)
        if self.steps == 1:
            return inner, told
        again = lambda inner, number: transition(number, inner)  # noqa: E731
        inner, rest = jax.lax.scan(again, inner, jnp.arange(1, self.steps))
        last = jax.tree.map(lambda leaf: leaf[-1], rest)
        if "acceptance_rate" in told:
            mean = (told["acceptance_rate"] + rest["acceptance_rate"].sum(0)) / self.steps
            last["acceptance_rate"] = mean
        return inner, last

    def _drawn_anew(self, key: Array, target: ReplicaTarget, inner: Any) -> Any:
        """The copies with that at the reference drawn from it."""
        key_draw, key_init = jax.random.split(key)
        first = jax.tree.map(lambda leaf: leaf[0] if eqx.is_array(leaf) else leaf, self._moves())
        new = first.init(key_init, target.at(self._betas()[0]), target.draw(key_draw))
        return jax.tree.map(lambda held, one: held.at[0].set(one.astype(held.dtype)), inner, new)

    def _positions(self, inner: Any) -> Float[Array, " dim"]:
        return eqx.filter_vmap(lambda move, inner: move.position(inner))(self._moves(), inner).ravel()

    def _betas(self) -> Float[Array, " rungs"]:
        return jnp.asarray(self.betas if self.ladder is None else self.ladder, jnp.result_type(float))

    def _moves(self) -> Any:
        if self.moves is not None:
            return self.moves
        return stacked(self.move, len(self.betas))


class Copies(NamedTuple):
    """The states of all copies by rung, the number of turns, and which have been at the target since the reference."""

    inner: Any
    turn: Int[Array, ""]
    climbed: Bool[Array, " rungs"]


class Rungs(Adapter):
    """The adapters of the kernel at every rung, and the ladder of equal rejection.

    Attributes:
        kernels: the adapters of the kernel.
        betas: the first ladder.
        moves_ladder: whether the ladder is tuned.
    """

    kernels: EachRung
    betas: tuple[float, ...]
    moves_ladder: bool

    @property
    def needs(self) -> tuple[str, ...]:
        return self.kernels.needs

    def start(self, sampler: Any, dim: int) -> tuple[Any, Any]:
        states, moves = self.kernels.start(sampler.move, dim // len(self.betas))
        ladder = jnp.asarray(self.betas, jnp.result_type(float))
        return (states, jnp.zeros_like(ladder)), replace(sampler, moves=moves, ladder=ladder)

    def update(self, state: Any, sampler: Any, position: Any, score: Any, stats: Stats) -> tuple[Any, Any]:
        del score
        copies = position.reshape(len(self.betas), -1)
        states, moves = self.kernels.update(state[0], sampler.moves, copies, stats)
        refused = state[1] + jnp.append(1.0 - stats["swap_rate"], 1.0).astype(state[1].dtype)  # the last one counts
        ladder = sampler.ladder
        if self.moves_ladder:
            end = jnp.asarray(stats.get("warmup_window_end", False))
            ladder = jnp.where(end, equal_rejection(ladder, refused[:-1] / refused[-1]), ladder)
            refused = jnp.where(end, 0.0, refused)
        return (states, refused), replace(sampler, moves=moves, ladder=ladder)

    def finish(self, state: Any, sampler: Any) -> Any:
        return replace(sampler, moves=self.kernels.finish(state[0], sampler.moves))


def swap_chances(between: Any, betas: Float[Array, " rungs"], ratios: Float[Array, " rungs"]) -> Array:
    """The probability that neighbours trade places, one for each pair."""
    low, high = betas[:-1], betas[1:]
    below = between.increment(ratios[:-1], low, high)
    above = between.increment(ratios[1:], low, high)
    gain = jnp.where(jnp.isneginf(ratios[:-1]), -jnp.inf, below - above)  # a copy without density stays at its rung
    return jnp.nan_to_num(jnp.exp(jnp.minimum(gain, 0.0)))


def traded(key: Array, chances: Float[Array, " pairs"], turn: Int[Array, ""]) -> Int[Array, " rungs"]:
    """Which copy comes to each rung: pairs of the parity of the turn trade places with their chances."""
    pairs = jnp.arange(chances.shape[0])
    swaps = ((pairs + turn) % 2 == 0) & (jax.random.uniform(key, chances.shape, chances.dtype) < chances)
    none = jnp.zeros(1, bool)
    up, down = jnp.concatenate([swaps, none]), jnp.concatenate([none, swaps])
    return jnp.arange(chances.shape[0] + 1) + up.astype(int) - down.astype(int)


def _count_trips(climbed: Bool[Array, " rungs"]) -> tuple[Array, Array]:
    """The copies that have been at the target since the reference, and whether one has come back from it."""
    back = climbed[0]
    return climbed.at[0].set(False).at[-1].set(True), back.astype(jnp.int32)


def _each(what: Callable[..., Any], sampler: ParallelTempering, keys: Array, *rest: Any) -> Any:
    """Something done with the kernel, a key and the beta of every rung."""
    return eqx.filter_vmap(what)(sampler._moves(), keys, sampler._betas(), *rest)
