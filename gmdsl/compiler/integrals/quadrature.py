r"""Integrals over at most three continuous dimensions, $\int f(x)\, p(x)\, dx$, with an error estimate.

The trapezoidal rule over the unconstrained coordinates, Jacobian included, in double precision. Optimisation from
many starts finds the modes; around them $x = c + L \sinh u$ with the covariance $L L^T$ of the mass, so that heavy
tails end and smooth integrands converge geometrically in the number of nodes. Nodes are doubled until two grids
agree; what still changes is the error. The first grid resolves the narrowest mode that was found.

Reference:
    Trefethen and Weideman, *The exponentially convergent trapezoidal rule*, SIAM Review 2014.
"""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.core.errors import SpecError, check_positive
from gmdsl.core.pytrees.function import Function
from gmdsl.graph.factor_graph import FactorGraph

MOST_DIMENSIONS = 3
STARTS = 64  # of the search for modes
DEPTH = 42.0  # nats below the top, from where on nothing counts
REACH = 45.0  # the largest |u| looked at; sinh of it is 1e19
SCAN = {1: 4097, 2: 257, 3: 65}  # nodes per dimension of the look for the mass
NODES = {1: 2**18, 2: 2**11, 3: 2**8}  # nodes per dimension at most
CHUNK = 2**14  # points evaluated side by side
ROUNDING = 1e-14  # no integral is known better
WORST = 0.01  # relative error beyond which an integral has no value


class Quadrature(eqx.Module):
    """Settings of numerical integration.

    Attributes:
        rtol: relative accuracy at which the grid is no longer refined.
    """

    rtol: float = 1e-10

    def __check_init__(self) -> None:
        check_positive(self, "rtol")


class Integrals(NamedTuple):
    r"""$\log \int p$ and $\int f p / \int p$, with their errors."""

    log_total: float
    log_total_error: float
    mean: np.ndarray
    mean_error: np.ndarray


class _Frame(NamedTuple):
    """The coordinates: x = center + factor sinh(u), with u in the box from low to high."""

    center: Any
    factor: Any
    low: Any
    high: Any
    top: Any


def integrals(model: FactorGraph, function: Function | None, settings: Quadrature) -> Integrals:
    """The integral of a density, and the mean of a function under it.

    Args:
        model: its free variables are continuous, with one to three unconstrained dimensions together.
        function: maps the dict of all named values at one point to numbers; None for the integral alone.
        settings: accuracy.

    Raises:
        SpecError: too many dimensions, no mass found, mass at infinity, or grids that do not agree.
    """
    names = ", ".join(model.free)
    with jax.enable_x64(True):
        target = FlatTarget.of(model)
        dim = target.dim
        if not 1 <= dim <= MOST_DIMENSIONS:
            raise SpecError(
                f"quadrature: {names} have {dim} dimensions, more than {MOST_DIMENSIONS}. Marginalise some, or estimate"
                " by gm.log_z or gm.MonteCarlo."
            )
        frame, nodes = _choose_frame(target)
        found = _refine(target, function, frame, nodes, settings)
    total, relative, mean_error = found
    if not (np.isfinite(total).all() and relative < WORST):
        raise SpecError(
            f"quadrature over {names}: two grids differ by {relative:.1g} of the integral."
            " The density is rough or improper: look at it by gm.lint, or estimate by gm.log_z."
        )
    mean = total[1:-1] / total[0]
    mean_error = mean_error + ROUNDING * (1.0 + np.abs(mean))
    return Integrals(float(np.log(total[0]) + frame.top), relative + ROUNDING, mean, mean_error)


def _refine(
    target: FlatTarget, function: Function | None, frame: _Frame, nodes: int, settings: Quadrature
) -> tuple[np.ndarray, float, np.ndarray]:
    """The sums on the finest grid needed, the relative error of the first, and the errors of the means.

    Where nodes run out before two grids agree, the integrand is rough, and the gaps between grids are random: the
    largest of the last three is the error.
    """
    old, gaps, most = _sum_over_grid(target, function, frame, nodes), [], NODES[target.dim]
    while nodes < most:
        nodes = min(2 * nodes, most)
        new = _sum_over_grid(target, function, frame, nodes)
        gap = np.abs(new[1:-1] / new[0] - old[1:-1] / old[0])
        gaps.append((abs(float(new[0] - old[0])) / float(new[0]), gap))
        old = new
        if gaps[-1][0] < settings.rtol and (gap <= settings.rtol * old[-1] / old[0]).all():
            return old, gaps[-1][0], gap
    return old, max(gap for gap, _ in gaps[-3:]), np.max([gap for _, gap in gaps[-3:]], axis=0)


@jax.jit
def _slope(target: FlatTarget, x: Array) -> tuple[Array, Array]:
    return jax.value_and_grad(lambda x: -target.decode(x)[1])(x)


@jax.jit
def _curvature(target: FlatTarget, x: Array) -> Array:
    return jax.hessian(lambda x: -target.decode(x)[1])(x)


def _integrand(target: FlatTarget, frame: _Frame, u: Array) -> tuple[Array, Array]:
    """The logarithm of the density of u, and x; what is not a number counts as nothing.

    Far out, x underflows to the edge of its support before the Jacobian ends the integrand: infinity is no mass there.
    """
    x = frame.center + frame.factor @ jnp.sinh(u)
    jacobian = jnp.sum(jnp.log(jnp.cosh(u))) + jnp.linalg.slogdet(frame.factor)[1]
    value = target.log_density(x) + jacobian
    return jnp.where(jnp.isfinite(value), value, -jnp.inf), x


@jax.jit
def _heights(target: FlatTarget, frame: _Frame, u: Array) -> Array:
    return jax.lax.map(lambda u: _integrand(target, frame, u)[0], u, batch_size=CHUNK)


@functools.partial(jax.jit, static_argnums=0)
def _sums(function: Function | None, target: FlatTarget, frame: _Frame, nodes: Array) -> Float[Array, " sums"]:
    """The sums over all nodes of the density, of f times it, and of the largest |f| times it."""
    dim = frame.low.shape[0]
    powers = nodes ** jnp.arange(dim)

    def one(index: Array) -> Array:
        u = frame.low + (frame.high - frame.low) * ((index // powers) % nodes) / (nodes - 1)
        height, x = _integrand(target, frame, u)
        weight = jnp.where(index < nodes**dim, jnp.exp(height - frame.top), 0.0)
        if function is None:
            return jnp.stack([weight, weight])
        values = jnp.ravel(function(target.named(x)))
        sizes = jnp.append(values, jnp.max(jnp.abs(values), initial=0.0))
        return jnp.append(weight, jnp.where(weight > 0, sizes * weight, 0.0))

    def more(number: Array, sums: Array) -> Array:
        return sums + jnp.sum(jax.vmap(one)(number * CHUNK + jnp.arange(CHUNK)), axis=0)

    start = jnp.zeros(jax.eval_shape(one, jnp.zeros((), int)).shape)
    return jax.lax.fori_loop(0, -(-(nodes**dim) // CHUNK), more, start)


def _sum_over_grid(target: FlatTarget, function: Function | None, frame: _Frame, nodes: int) -> np.ndarray:
    sums = _sums(function, target, frame, jnp.asarray(nodes))
    return np.asarray(sums) * np.prod((frame.high - frame.low) / (nodes - 1))


def _choose_frame(target: FlatTarget) -> tuple[_Frame, int]:
    """The coordinates, and how many nodes per dimension the narrowest mode needs."""
    modes, spreads, top = _modes(target)
    covariance = np.mean(spreads, axis=0) + (np.cov(modes.T, bias=True).reshape(spreads[0].shape))
    values, vectors = np.linalg.eigh(covariance)
    factor = vectors * np.sqrt(values)
    center, dim = (modes.min(axis=0) + modes.max(axis=0)) / 2, target.dim
    everywhere = _Frame(center, factor, -REACH * np.ones(dim), REACH * np.ones(dim), np.asarray(top))
    scan = np.linspace(-REACH, REACH, SCAN[dim])
    u = np.stack([axis.ravel() for axis in np.meshgrid(*[scan] * dim, indexing="ij")], axis=1)
    heights = np.asarray(_heights(target, everywhere, jnp.asarray(u)))
    top = max(top + np.linalg.slogdet(factor)[1], heights.max())
    held = u[heights > top - DEPTH]
    # mass that grows with the distance, or that has not ended at the end, has no integral
    if np.abs(u[heights.argmax()]).max() > REACH / 4 or np.abs(held).max(initial=0.0) == REACH:
        raise SpecError(
            "quadrature: the density does not fall towards infinity fast enough to have an integral; it is improper"
            " along some direction. Add a prior, or a term that grows."
        )
    inverse = np.linalg.inv(factor)
    places = np.arcsinh((modes - center) @ inverse.T)
    widths = np.array([np.sqrt(np.diag(inverse @ spread @ inverse.T)) for spread in spreads]) / np.cosh(places)
    step = scan[1] - scan[0]
    low, high = (places - 10 * widths).min(axis=0), (places + 10 * widths).max(axis=0)
    if held.size:
        low, high = np.minimum(low, held.min(axis=0) - step), np.maximum(high, held.max(axis=0) + step)
    frame = _Frame(center, factor, np.maximum(low, -REACH), np.minimum(high, REACH), np.asarray(top))
    wanted = int(np.ceil(((frame.high - frame.low) / widths.min(axis=0)).max())) + 1
    return frame, min(max(16, wanted), NODES[dim] // 2)


def _modes(target: FlatTarget) -> tuple[np.ndarray, np.ndarray, float]:
    """The places near the largest log-density, the covariance at each, and that log-density."""
    from scipy.optimize import minimize

    rng, dim = np.random.default_rng(0), target.dim
    starts = rng.normal(size=(STARTS // 2, dim)) * np.geomspace(0.1, 100.0, STARTS // 2)[:, None]
    starts = np.concatenate([starts, -starts])

    def descent(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _slope(target, jnp.asarray(x))
        finite = bool(jnp.isfinite(value))
        return (float(value), np.nan_to_num(np.asarray(slope))) if finite else (1e200, np.zeros(dim))

    ends = [minimize(descent, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}) for start in starts]
    places, heights = np.array([end.x for end in ends]), -np.array([end.fun for end in ends])
    top = float(heights.max())
    if top <= -1e199:
        raise SpecError(f"quadrature: the log-density is not finite at any of {STARTS} starts. Check the model.")
    kept = places[heights > top - DEPTH]
    return kept, np.array([_covariance(np.asarray(_curvature(target, jnp.asarray(x)))) for x in kept]), top


def _covariance(curvature: np.ndarray) -> np.ndarray:
    """The covariance of the Gaussian at a mode; of size 1 where the curvature says nothing."""
    if not np.isfinite(curvature).all():
        return np.eye(len(curvature))
    values, vectors = np.linalg.eigh(curvature)
    variances = np.where(values > 1e-4, 1.0 / np.maximum(values, 1e-4), 1.0)
    return (vectors * variances) @ vectors.T
