r"""Tempered transitions: a walk from the target up to the reference and down again, accepted or rejected as a whole.

With $1 = \beta_n > \ldots > \beta_0 = 0$ and kernels $T_k$ that are reversible for $\pi_{\beta_k}$, the walk takes
$T_{n-1}, \ldots, T_1$, an exact draw of the reference, then $T_1, \ldots, T_{n-1}$: the order reads the same from both
ends. Before each kernel the log-weight grows by $g(r, \beta_{after}) - g(r, \beta_{before})$ at the present point, and
once more when the target is reached; the end is accepted with probability $\min(1, e^w)$. On the geometric path

$$w = \sum_{k=1}^{n} (\beta_k - \beta_{k-1})\,(\check r_k - \hat r_k),$$

with $\hat r_k$ the log-ratio $\log p - \log q$ where the walk leaves rung k on its way up, and $\check r_k$ where it
enters it on its way down. The kernel of the target is no part of the walk; a transition by it goes first, so that a
chain whose walks are rejected still moves inside its mode.

Reference:
    Neal, *Sampling from multimodal distributions using tempered transitions*, Statistics and Computing 6, 1996.
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gmdsl.adapt.each_rung import EachRung, of_rungs
from gmdsl.adapt.temperatures import as_schedule, kept_static
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.fields import replace
from gmdsl.inference.adapter import Adapter, adapters_of
from gmdsl.inference.interpolation import Interpolation
from gmdsl.inference.path import ReplicaSampler, check_move
from gmdsl.inference.sampler import Sampler
from gmdsl.inference.stats import EVENTS, Stats

PLACES = "_places"  # the stat that holds a point of each rung, for adapters


class TemperedTransitions(ReplicaSampler):
    """Tempered transitions, on a path. A chain has one copy of the variables, that at the target.

    A draw costs `steps` transitions at each temperature on the way up, as many on the way down, and as many at the
    target before. The share of accepted walks is the stat `walk_acceptance`. It falls quickly where there are too few
    temperatures: take so many that neighbours overlap well, as for `gm.AIS`.

    Attributes:
        move: the kernel; its law must be exact, and it must be reversible (`Sampler.reversible`): not `gm.Gibbs`,
            `gm.blocks` or a sampler that keeps a velocity. Its own adapters tune it at each temperature.
        temperatures: how many steps from reference to target (at $(k / K)^3$), or the betas, from 0 to 1.
        steps: transitions at each temperature.
        moves: the kernels of all rungs above the reference; set by warm-up.
    """

    move: Sampler
    temperatures: Any = eqx.field(default=10, converter=kept_static)
    steps: int = 1
    moves: Any = None

    def __check_init__(self) -> None:
        check_move("TemperedTransitions", self.move)
        name = type(self.move).__name__
        if not self.move.reversible:
            raise SpecError(
                f"TemperedTransitions(move={name}()): the walk down must undo the walk up, and {name} is not declared"
                " reversible. Take gm.MALA() or gm.GibbsWithGradients(); a kernel of your own says reversible = True."
            )
        if not isinstance(self.steps, Integral) or self.steps < 1:
            raise SpecError(f"TemperedTransitions(steps={self.steps!r}): at least one transition is needed.")
        if as_schedule("TemperedTransitions", self.temperatures).fixed is None:
            raise SpecError(
                f"TemperedTransitions(temperatures={self.temperatures}): every walk takes the same temperatures. Give"
                " a number of steps or the betas."
            )

    @property
    def betas(self) -> tuple[float, ...]:
        """Of the copies that a chain has: one, at the target."""
        return (1.0,)

    @property
    def ladder(self) -> tuple[float, ...]:
        """The inverse temperatures of a walk, from 0 to 1."""
        fixed = as_schedule("TemperedTransitions", self.temperatures).fixed
        assert fixed is not None
        return fixed

    @property
    def adapts(self) -> Any:
        return (AlongTheWalk(EachRung(adapters_of(self.move), len(self.ladder) - 1)),)

    @property
    def lockstep(self) -> bool:
        return self.move.lockstep

    def bound(self, density: Any) -> Self:
        return replace(self, move=self.move.bound(density))

    def init(self, key: Array, target: Any, x: Float[Array, " dim"]) -> Any:
        return self._kernel(len(self.ladder) - 1).init(key, target.at(jnp.ones(())), x)

    def position(self, state: Any) -> Float[Array, " dim"]:
        return self.move.position(state)

    def step(self, key: Array, target: Any, state: Any) -> tuple[Any, Stats]:
        key_local, key_walk, key_accept, key_new = jax.random.split(key, 4)
        betas, top = jnp.asarray(self.ladder, jnp.result_type(float)), len(self.ladder) - 1
        kernel, end = self._kernel(top), target.at(betas[top])
        state, told = self._moved(key_local, kernel, end, state)
        x = kernel.position(state)

        def visit(number: Array, rung: Array, x: Array) -> tuple[Array, Stats]:
            return self._visited(jax.random.fold_in(key_walk, number), target, rung, betas[rung], x)

        found = walk(target.interpolation, betas, target.log_ratio, x, visit)
        chance = jnp.nan_to_num(jnp.exp(jnp.minimum(found.log_weight, 0.0)))  # a NaN is no way to the target
        accepted = jax.random.uniform(key_accept, (), chance.dtype) < chance
        new = kernel.init(key_new, end, jnp.where(accepted, found.end, x))
        state = jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, state)
        places, walked = _by_rung(found, x, told)
        stats = {name: value for name, value in told.items() if name != "lp"}
        stats |= {"walk_acceptance": chance, "walk_accepted": accepted}
        return state, {**stats, **of_rungs(walked), PLACES: places}

    def _visited(
        self, key: Array, target: Any, rung: Array, beta: Array, x: Float[Array, " dim"]
    ) -> tuple[Float[Array, " dim"], Stats]:
        """The point after the kernel of one rung, an exact draw at the reference, and the stats of the last step."""
        kernel, there = self._kernel(rung), target.at(beta)
        key_init, key_move = jax.random.split(key)

        def by_kernel(x: Array) -> tuple[Array, Stats]:
            state, told = self._moved(key_move, kernel, there, kernel.init(key_init, there, x))
            return kernel.position(state).astype(x.dtype), told

        def drawn(x: Array) -> tuple[Array, Stats]:
            nothing = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(by_kernel, x)[1])
            return target.draw(key_move).astype(x.dtype), nothing

        return jax.lax.cond(rung == 0, drawn, by_kernel, x)

    def _moved(self, key: Array, kernel: Any, target: Any, state: Any) -> tuple[Any, Stats]:
        """A state after all transitions of a rung, and the stats of the last one; acceptance is the mean."""

        def transition(state: Any, number: Array) -> tuple[Any, Stats]:
            return kernel.step(jax.random.fold_in(key, number), target, state)

        state, told = jax.lax.scan(transition, state, jnp.arange(self.steps))
        last = jax.tree.map(lambda leaf: leaf[-1], told)
        if "acceptance_rate" in told:
            last["acceptance_rate"] = told["acceptance_rate"].mean(0)
        return state, last

    def _kernel(self, rung: Any) -> Any:
        """The kernel of a rung, 1 or more; that of the reference is not asked for."""
        if self.moves is None:
            return self.move
        place = jnp.maximum(rung - 1, 0)
        return jax.tree.map(lambda leaf: leaf[place] if eqx.is_array(leaf) else leaf, self.moves)


class Walk(NamedTuple):
    """A walk from the target to the reference and back.

    Attributes:
        end: where it came back to the target.
        log_weight: the logarithm of what its end is accepted by.
        rungs: whose kernels moved it, in order.
        places: where it was after each of them.
        told: what each of them told.
    """

    end: Float[Array, " dim"]
    log_weight: Float[Array, ""]
    rungs: Int[Array, " visits"]
    places: Float[Array, "visits dim"]
    told: Any


def walk(
    between: Interpolation,
    betas: Float[Array, " rungs"],
    log_ratio: Callable[[Array], Array],
    x: Float[Array, " dim"],
    visit: Callable[[Array, Array, Array], tuple[Array, Any]],
) -> Walk:
    """Up to the reference and down again.

    Args:
        between: the densities of the path.
        betas: from 0 to 1.
        log_ratio: log-density of the target less that of the reference, at a point.
        x: the point at the target.
        visit: the point after the kernel of a rung, and what it tells, of the number of the visit, the rung and the
            point.
    """
    top = betas.shape[0] - 1
    up, down = jnp.arange(top - 1, -1, -1), jnp.arange(1, top)
    rungs = jnp.concatenate([up, down])

    def grown(x: Array, before: Array, after: Array) -> Array:
        ratio = log_ratio(x)
        return jnp.where(ratio == -jnp.inf, jnp.where(after > before, -jnp.inf, jnp.inf),
                         between.increment(ratio, betas[before], betas[after]))  # fmt: skip

    def onward(at: Any, now: Any) -> Any:
        x, weight, before = at
        number, rung = now
        weight = weight + grown(x, before, rung)
        x, told = visit(number, rung, x)
        return (x, weight, rung), (x, told)

    start = (x, jnp.zeros((), betas.dtype), jnp.asarray(top))
    (end, weight, before), (places, told) = jax.lax.scan(onward, start, (jnp.arange(len(rungs)), rungs))
    return Walk(end, weight + grown(end, before, jnp.asarray(top)), rungs, places, told)


class AlongTheWalk(Adapter):
    """The adapters of the kernel at every temperature of a walk above the reference.

    Attributes:
        kernels: they.
    """

    kernels: EachRung

    @property
    def needs(self) -> tuple[str, ...]:
        return self.kernels.needs

    def start(self, sampler: Any, dim: int) -> tuple[Any, Any]:
        states, moves = self.kernels.start(sampler.move, dim)
        return states, replace(sampler, moves=moves)

    def update(self, state: Any, sampler: Any, position: Any, score: Any, stats: Stats) -> tuple[Any, Any]:
        del position, score
        states, moves = self.kernels.update(state, sampler.moves, stats[PLACES], stats)
        return states, replace(sampler, moves=moves)

    def finish(self, state: Any, sampler: Any) -> Any:
        return replace(sampler, moves=self.kernels.finish(state, sampler.moves))


def _by_rung(found: Walk, x: Array, told: Stats) -> tuple[Float[Array, "rungs dim"], Stats]:
    """A point of each rung above the reference, and what its kernel told on both ways; last that of the target."""
    top = (len(found.rungs) + 1) // 2  # visits: top on the way up, the reference among them, and top - 1 down
    up = lambda leaf: leaf[: top - 1][::-1]  # noqa: E731
    down = lambda leaf: leaf[top:]  # noqa: E731
    places = jnp.concatenate([up(found.places), x[None]])

    def both(name: str) -> Array:
        walked, own = found.told[name], jnp.asarray(told[name])[None]
        mean = name == "acceptance_rate"
        event = name in EVENTS
        one = 0.5 * (up(walked) + down(walked)) if mean else up(walked) | down(walked) if event else up(walked)
        return jnp.concatenate([one, own.astype(one.dtype)])

    return places, {name: both(name) for name in told}
