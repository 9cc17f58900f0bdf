r"""The likelihood of a noised family by its probability flow, an adaptive solution with diffrax.

Points move along $dx/dt = v(x, t)$ from the data to the Gaussian end, and by the change of variables
$\log p_0(x_0) = \log p_T(x_T) + \int_0^T \nabla \cdot v\, dt$. This is the exact log-density of what `ReverseODE`
draws with infinitely small steps.

Reference:
    Chen et al., *Neural ordinary differential equations*, 2018, arXiv:1806.07366; Song et al., 2021,
    arXiv:2011.13456 (section 4.3); Hutchinson, 1990 (trace estimate).
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmdsl.compiler.rewrites.convolution_layouts import with_fast_convolutions
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.partition import Skeleton, strip
from gmdsl.core.random.keys import seed_key
from gmdsl.core.user_arrays import as_numbers
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.noised import Noised, same_variables
from gmdsl.diffusion.noisy_end import warn_of_far_end
from gmdsl.models.model import Model
from gmdsl.spaces.layout import flatten, unflatten
from gmdsl.spaces.space import dtype_of

BLOCK = 512  # data side by side in a compiled block


def flow_log_likelihood(
    family: Noised, data: Any, *, rtol: float, atol: float, prior: Model | None, probes: int | None, seed: int
) -> np.ndarray:
    """The log-density of data under a noised family run backwards (see `gm.log_likelihood`)."""
    named = data if isinstance(data, dict) else {family.free[0]: data}
    open_inputs = dict(family.inputs)
    given = {name: value for name, value in named.items() if name in open_inputs}
    x, single = _rows(family, {name: value for name, value in named.items() if name not in given})
    given = _per_row(family, given, len(x))
    if prior is not None and (not isinstance(prior, Model) or not same_variables(prior, family)):
        raise SpecError(f"log_likelihood(prior=...): a model of {', '.join(family.free)} is needed, the law at t_max.")
    if probes is not None and (not isinstance(probes, int) or probes < 1):
        raise SpecError(f"log_likelihood(probes={probes!r}): at least 1 is needed, or None for the exact trace.")
    if not len(x):
        return np.zeros(0)
    if prior is None:
        first = family.condition({name: values[0] for name, values in given.items()})
        warn_of_far_end("log_likelihood(family, x)", first, "prior=")
    skeleton, arrays = strip(FlatFamily(family.process, family.denoiser, family.declared, prior))
    tolerance = (jnp.asarray(rtol, float), jnp.asarray(atol, float))
    size = min(BLOCK, len(x))
    padded, given = jax.tree.map(lambda a: np.concatenate([a, np.repeat(a[-1:], -len(a) % size, axis=0)]), (x, given))
    rows = (jax.random.split(seed_key("log_likelihood", seed), len(padded)), padded, given)
    found = [
        np.asarray(_block(skeleton, probes, arrays, tolerance, *_part(rows, slice(i, i + size))))
        for i in range(0, len(padded), size)
    ]
    values = np.concatenate(found)[: len(x)]
    lost = int(np.sum(~np.isfinite(values)))
    if lost:
        raise SpecError(
            f"log_likelihood(...): the flow of {lost} of {len(values)} data did not reach the noise. Loosen rtol and"
            " atol, enable x64, or take a process whose score is tamer near the data."
        )
    return values[0] if single else values


@functools.partial(jax.jit, static_argnums=(0, 1))
def _block(
    skeleton: Skeleton, probes: int | None, arrays: Any, tolerance: Any, keys: Array, x: Array, given: Any
) -> Array:
    family = skeleton.fill(arrays)

    def one(key: Array, x: Array, given: Any) -> Array:
        at = FlatFamily(family.process, family.denoiser.at(given), family.layout, family.begin)
        return _one(at, probes, tolerance, key, x)

    return with_fast_convolutions(jax.jit(jax.vmap(one)))(keys, x, given)


def _one(family: FlatFamily, probes: int | None, tolerance: Any, key: Array, x: Array) -> Float[Array, ""]:
    """One datum to the noisy end, with the integral of the divergence beside it."""
    import diffrax

    directions = None if probes is None else jax.random.rademacher(key, (probes, family.dim), x.dtype)

    def field(t: Any, at: Any, args: Any) -> Any:
        velocity = lambda x: family.denoiser.velocity(family.process, x, t)  # noqa: E731
        value, push = jax.linearize(velocity, at[0])
        if directions is None:
            trace = jnp.trace(jax.vmap(push)(jnp.eye(family.dim, dtype=x.dtype)))
        else:
            trace = jnp.mean(jax.vmap(lambda v: v @ push(v))(directions))
        return value, trace

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Dopri5(),
        family.first,
        family.process.t_max,
        None,
        (x, jnp.zeros((), x.dtype)),
        stepsize_controller=diffrax.PIDController(rtol=tolerance[0], atol=tolerance[1]),
        max_steps=20_000,
        throw=False,
    )
    end, integral = jax.tree.map(lambda a: a[-1], solution.ys)
    reached = solution.result == diffrax.RESULTS.successful
    return jnp.where(reached, _end_density(family, end) + integral, jnp.nan)


def _end_density(family: FlatFamily, x: Array) -> Float[Array, ""]:
    """The log-density at the noisy end: of the Gaussian of the process, or of the model given for it."""
    if family.begin is None:
        scale = family.process.prior_scale
        return -0.5 * jnp.sum((x / scale) ** 2 + jnp.log(2.0 * math.pi * scale**2))
    from gmdsl.compiler.flat_target import FlatTarget

    return FlatTarget.of(family.begin).log_density_at(unflatten(family.layout, x))


def _part(rows: Any, where: slice) -> Any:
    return jax.tree.map(lambda values: values[where], rows)


def _per_row(family: Noised, given: dict[str, Any], count: int) -> dict[str, np.ndarray]:
    """Values of inputs, one per datum; one value stands for all data."""
    rows = {}
    for name, space in family.inputs:
        if name not in given:
            raise SpecError(
                f"log_likelihood(family, ...): the score depends on the input {name}, which has no value. Give one per"
                f" datum, {{..., {name!r}: values}}, or bind it, family.condition({name}=...)."
            )
        value = as_numbers(f"log_likelihood({name})", given[name])
        if value.shape not in (space.shape, (count, *space.shape)):
            raise SpecError(
                f"log_likelihood({name}): values of shape {value.shape}, but the input was declared {space.title}."
                f" Give one of them, or one per datum, of which there are {count}."
            )
        if not space.contains(value):
            raise SpecError(f"log_likelihood({name}): a value lies outside {space.title}. Check the data.")
        rows[name] = np.broadcast_to(np.asarray(value, dtype_of(space)), (count, *space.shape))
    return rows


def _rows(family: Noised, named: dict[str, Any]) -> tuple[np.ndarray, bool]:
    """The data as flat rows, and whether it was one point without a leading axis."""
    if set(named) != set(family.free):
        raise SpecError(
            f"log_likelihood(family, ...): data for {', '.join(map(str, named))}, but the variables are"
            f" {', '.join(family.free)}."
        )
    arrays, lengths = {}, set()
    for name, space in family.declared:
        value = as_numbers(f"log_likelihood({name})", named[name])
        if value.shape[value.ndim - len(space.shape) :] != space.shape or value.ndim - len(space.shape) not in (0, 1):
            raise SpecError(
                f"log_likelihood({name}): shape {value.shape}, but one datum was declared {space.shape}."
                f" Pass that, or one row per datum."
            )
        arrays[name] = value
        lengths.add(value.shape[: value.ndim - len(space.shape)])
    if len(lengths) > 1:
        raise SpecError(f"log_likelihood(...): the lengths differ, {sorted(lengths)}. Give one row per datum to each.")
    x = np.asarray(flatten(family.declared, arrays))
    return np.atleast_2d(x), x.ndim == 1
