r"""Climbing to a mode from several starts, by L-BFGS with a line search (Optax).

The predicted gain of a step, $g^T H g$ with the score $g$ and the inverse curvature $H$ that L-BFGS has gathered, is
in units of the log-density, whatever the units of the variables. A climb ends when ten steps in a row have found
nothing better than rounding; it has *arrived* where the predicted gain was then below 0.01. A small predicted gain
alone ends nothing: along a narrow ridge L-BFGS learns late how far it is. Steps that are level to rounding are taken,
because the score knows the way where the log-density does not. A NaN counts as no density.

Reference:
    Nocedal and Wright, *Numerical Optimization*, 2006, chapters 3 and 7.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gmdsl.core.errors import SpecError, StartError
from gmdsl.inference.target import Target

ARRIVED = 1e-2  # predicted gain of log-density below which a climb has arrived
STALLED = 10  # steps without a gain after which a climb ends
TRIES = 20  # random points per start, of which the first with a density are taken
RADIUS = 2.0  # starts are uniform on (-2, 2) in each unconstrained coordinate, as those of chains
SEARCH = 20  # evaluations of a line search at most
APART = 0.1  # drop of log-density between two ends, or below them half way, that tells two modes


class Climb(NamedTuple):
    """Where a climb ended, and the way there.

    Attributes:
        x: the end.
        log_density: its log-density.
        arrived: whether the predicted gain there is below 0.01.
        count: how many points of the way are filled.
        way: the points, first the start; unfilled ones are zero. Empty unless kept.
        scores: the score at each of them.
    """

    x: Float[Array, " dim"]
    log_density: Float[Array, ""]
    arrived: Bool[Array, ""]
    count: Int[Array, ""]
    way: Float[Array, "steps dim"]
    scores: Float[Array, "steps dim"]


def climb(log_density: Callable[[Array], Array], x: Float[Array, " dim"], steps: int, keep: bool = False) -> Climb:
    """Climbs from one point; works under `jax.jit` and `jax.vmap`.

    Args:
        log_density: of one flat vector.
        x: the start, where the log-density is finite.
        steps: at most so many.
        keep: whether the points of the way are kept.

    >>> import jax.numpy as jnp
    >>> end = climb(lambda x: -2.0 * jnp.sum((x - jnp.array([1.0, -3.0])) ** 2), jnp.zeros(2), 50)
    >>> end.x.round(4).tolist(), bool(end.arrived)
    ([1.0, -3.0], True)
    """
    import optax

    def loss(x: Array) -> Array:
        value = -log_density(x)
        return jnp.where(jnp.isnan(value), jnp.inf, value)

    memory: Any = optax.scale_by_lbfgs()
    search: Any = optax.scale_by_zoom_linesearch(SEARCH, initial_guess_strategy="one")
    value, slope = jax.value_and_grad(loss)(x)
    way = jnp.zeros((steps + 1 if keep else 0, x.size), x.dtype)
    kept = (way.at[0].set(x), way.at[0].set(-slope)) if keep else (way, way)
    gain = jnp.asarray(jnp.inf, value.dtype)
    begin = (x, value, slope, memory.init(x), search.init(x), jnp.int32(0), jnp.int32(0), value, gain, kept)

    def goes_on(at: Any) -> Array:
        *_, step, stalled, _, gain, _ = at
        return (step < steps) & (stalled < STALLED) & (gain > 0.0)

    def forward(at: Any) -> Any:
        x, value, slope, memory_state, search_state, step, stalled, best, least, kept = at
        direction, memory_state = memory.update(slope, memory_state, x)
        gain = jnp.abs(jnp.vdot(direction, slope))
        move, search_state = search.update(-direction, search_state, x, value=value, grad=slope, value_fn=loss)
        new = x + move
        new_value, new_slope = jax.value_and_grad(loss)(new)
        rounding = jnp.finfo(value.dtype).eps * jnp.abs(value)
        usable = jnp.isfinite(new_slope).all() & jnp.isfinite(new).all() & (new_value <= value)
        x, value, slope = (jnp.where(usable, a, b) for a, b in ((new, x), (new_value, value), (new_slope, slope)))
        moved = value < best - rounding
        stalled, least = jnp.where(moved, 0, stalled + 1), jnp.where(moved, gain, jnp.minimum(gain, least))
        if keep:
            kept = (kept[0].at[step + 1].set(x), kept[1].at[step + 1].set(-slope))
        return x, value, slope, memory_state, search_state, step + 1, stalled, jnp.minimum(best, value), least, kept

    x, value, _, _, _, step, _, _, gain, kept = jax.lax.while_loop(goes_on, forward, begin)
    return Climb(x, -value, gain < ARRIVED, step + 1, *kept)


def starts(key: Array, target: Target, count: int) -> tuple[Float[Array, "count dim"], Bool[Array, ""]]:
    """Random points of finite log-density and score, and whether there are any; for `no_start` if not.

    They are uniform on (-2, 2) in each coordinate: the first that can be used among twenty per start.
    """
    x = jax.random.uniform(key, (TRIES * count, target.dim), minval=-RADIUS, maxval=RADIUS)
    value, score = jax.vmap(target.log_density_and_score)(x)
    good = jnp.isfinite(value) & jnp.isfinite(score).all(axis=1)
    first = jnp.argsort(~good, stable=True)[:count]
    return x[jnp.where(good[first], first, first[0])], good.any()


def elsewhere(log_density: Callable[[Array], Array], ends: Climb, best: Array) -> Bool[Array, " starts"]:
    """Which ends are not the best one: lower, or with a valley half way to it."""
    top, height = ends.x[best], ends.log_density[best]
    middle = jax.vmap(log_density)(0.5 * (ends.x + top))
    return (ends.log_density < height - APART) | ~(middle >= ends.log_density - APART)


def highest(ends: Climb) -> Array:
    """The end of the highest log-density among those that arrived, or among all if none did."""
    height = jnp.where(jnp.isfinite(ends.log_density), ends.log_density, -jnp.inf)
    return jnp.argmax(jnp.where(ends.arrived | ~ends.arrived.any(), height, -jnp.inf))


def no_start(operation: str, count: int) -> StartError:
    """The error where no random point has a density."""
    return StartError(
        f"{operation}: the log-density or its gradient is not finite at any of {TRIES * count} points, uniform on"
        f" (-{RADIUS:g}, {RADIUS:g}) in unconstrained coordinates. gm.lint(model) names the factor."
    )


def check_counts(settings: Any, *names: str) -> None:
    """Refuses settings that are not whole numbers of at least 1.

    Raises:
        SpecError: names the class, the setting and its value.
    """
    for name in names:
        value = getattr(settings, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SpecError(f"{type(settings).__name__}({name}={value!r}): a whole number of at least 1 is needed.")
