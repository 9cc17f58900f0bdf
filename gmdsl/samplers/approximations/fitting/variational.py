r"""Raising the evidence lower bound of a Gaussian, what mean-field and full-rank variational inference share.

$$\mathrm{ELBO}(q) = E_q[\log p(x) - \log q(x)] = \log Z - KL(q\,|\,p)$$

is raised by Adam along reparametrised gradients, $x = \mu + L u$. The parameters inside $\log q$ are held still
("sticking the landing"): the gradient keeps its mean, and its noise vanishes where q is p. The Gaussian is held in
units of the curvature at a mode, where there is one, so that one learning rate serves all scales; the rate falls to
zero along a cosine.

Reference:
    Kucukelbir et al., *Automatic differentiation variational inference*, JMLR 18, 2017; Roeder, Wu, Duvenaud,
    *Sticking the landing*, NeurIPS 2017, arXiv:1703.09194; Hutchinson, 1990 (the diagonal of a matrix by probes).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gmdsl.core.errors import SpecError, check_positive
from gmdsl.core.pytrees.fields import stopped
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.inference.target import Target
from gmdsl.samplers.approximations.fitting.climb import check_counts, climb, highest, no_start, starts

CLIMBS, CLIMB_STEPS = 4, 200  # to the mode around which q begins
PROBES = 16  # random vectors for the diagonal of the Hessian


class Frame(NamedTuple):
    """Where q begins, and the unit of each coordinate."""

    center: Float[Array, " dim"]
    scale: Float[Array, " dim"]


type Build = Callable[[Any, Frame], Any]  # from parameters in units of the frame to a Gaussian


class Raised(NamedTuple):
    """A Gaussian after its bound was raised.

    Attributes:
        q: the Gaussian.
        elbo: the estimate at each step.
        skipped: steps that were left out because the bound or its gradient was not finite.
    """

    q: Any
    elbo: Float[Array, " steps"]
    skipped: Int[Array, ""]


def raised(settings: Any, begin: Any, build: Build, key: Array, target: Target) -> Raised:
    """Raises the bound of `build(parameters, frame)`, beginning with the parameters `begin`.

    Args:
        settings: has `updates`, `estimate` and `learning_rate`.
        begin: parameters, zeros being the unit Gaussian of the frame.
        build: a function of parameters and frame, hashable: it is part of the program's key.
        key: a random key.
        target: what is approximated.

    Raises:
        StartError: no random point has a density.
        SpecError: the bound was not finite at most of the steps.
    """
    name = f"sample(..., {type(settings).__name__}())"
    some, found = _raise_bound(*strip((settings, target)), build, begin, key)
    if not bool(some):
        raise no_start(name, CLIMBS)
    if int(found.skipped) > settings.updates // 2:
        raise SpecError(
            f"{name}: the evidence lower bound was not finite at {int(found.skipped)} of {settings.updates} steps: the"
            " log-density is infinite or NaN where a Gaussian has draws. Declare the support of the variables."
        )
    return found


def check_variational(settings: Any) -> None:
    """Refuses counts below 1 and a learning rate that is not above zero."""
    check_counts(settings, "updates", "estimate")
    check_positive(settings, "learning_rate")


@functools.partial(jax.jit, static_argnums=(0, 2))
def _raise_bound(
    skeleton: Skeleton, arrays: Any, build: Build, begin: Any, key: Array
) -> tuple[Bool[Array, ""], Raised]:
    import optax

    settings, target = skeleton.fill(arrays)
    key_start, key_frame, key_steps = jax.random.split(key, 3)
    x, some = starts(key_start, target, CLIMBS)
    frame = _frame(key_frame, target, x)
    optimizer = optax.adam(optax.cosine_decay_schedule(settings.learning_rate, settings.updates))

    def loss(parameters: Any, key: Array) -> Array:
        q, still = build(parameters, frame), build(stopped(parameters), frame)
        x = jax.vmap(q.at)(jax.random.normal(key, (settings.estimate, target.dim), frame.center.dtype))
        return jnp.mean(jax.vmap(still.log_density)(x) - jax.vmap(target.log_density)(x))

    def step(at: Any, i: Array) -> Any:
        parameters, state, skipped = at
        value, slope = jax.value_and_grad(loss)(parameters, jax.random.fold_in(key_steps, i))
        good = jnp.isfinite(value) & jnp.all(jnp.stack([jnp.isfinite(s).all() for s in jax.tree.leaves(slope)]))
        updates, later = optimizer.update(slope, state, parameters)
        new = (optax.apply_updates(parameters, updates), later)
        parameters, state = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, (parameters, state))
        return (parameters, state, skipped + ~good), -value

    first = (begin, optimizer.init(begin), jnp.int32(0))
    (parameters, _, skipped), elbo = jax.lax.scan(step, first, jnp.arange(settings.updates))
    return some, Raised(build(parameters, frame), elbo, skipped)


def _frame(key: Array, target: Target, x: Float[Array, "starts dim"]) -> Frame:
    """The mode and the curvature along each coordinate there; the first start and 1 where there is no mode."""
    ends = jax.vmap(lambda x: climb(target.log_density, x, CLIMB_STEPS))(x)
    best = highest(ends)
    center = jnp.where(ends.arrived[best], ends.x[best], x[0])

    def probe(key: Array) -> Array:
        sign = jax.random.rademacher(key, center.shape, center.dtype)
        return sign * jax.jvp(target.score, (center,), (sign,))[1]

    bend = -jnp.mean(jax.vmap(probe)(jax.random.split(key, PROBES)), axis=0)
    usable = ends.arrived[best] & jnp.isfinite(bend) & (bend > 0.0)
    return Frame(center, jnp.where(usable, 1.0 / jnp.sqrt(jnp.where(usable, bend, 1.0)), 1.0))
