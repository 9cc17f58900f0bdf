r"""Log Z between two walks: from the reference to the target, and from draws of the target back.

The logarithm of an unbiased estimate of Z is below log Z on average, minus that of 1 / Z above. The ends of the bracket
are two standard errors farther out.

Reference:
    Grosse, Ghahramani, Adams, *Sandwiching the marginal likelihood using bidirectional Monte Carlo*, 2015,
    arXiv:1511.02543.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.core.pytrees.function import Constant
from gmdsl.core.random.keys import seed_key
from gmdsl.inference.path import Path
from gmdsl.models.model import Model
from gmdsl.paths.ais import AIS
from gmdsl.results.estimate import LogZ, estimate
from gmdsl.results.reliability import Verdict
from gmdsl.run.populations.paths import run_population
from gmdsl.run.targets import flat_target

APART = 3.0  # standard errors between the two walks that disagree


def bracketed(path: Path, sampler: Any, end: Any, seed: int) -> LogZ:
    """Both walks: the mean of the two estimates, with `lower` and `upper`.

    Raises:
        SpecError: another sampler than AIS, or draws that are none of the target.
    """
    if not isinstance(sampler, AIS):
        raise SpecError(
            f"log_z(..., {type(sampler).__name__}(...), end=...): walking back from the target is for gm.AIS."
        )
    forth = run_population("log_z", path, sampler, seed)[1]
    target = flat_target("log_z", path, sampler)
    x = flat_draws(path, end, sampler.particles, seed)
    population = _back(Constant(sampler.bound(Density(path.target))), seed_key("log_z", seed), target, x)
    back = estimate(np.asarray(population.log_weight, float), repr(sampler))
    low, high = forth.log_z, -back.log_z
    error = float(np.hypot(forth.standard_error, back.standard_error))
    apart = abs(high - low) > APART * error
    worst = min((forth.verdict, back.verdict), key=lambda one: ("failed", "suspect", "ok").index(one.status))
    evidence = f"forwards {low:.3f}, backwards {high:.3f}; {worst.evidence}"
    verdict = Verdict("suspect", f"{evidence}; the two walks disagree", "Take more temperatures or longer moves.")
    return dataclasses.replace(
        forth,
        log_z=0.5 * (low + high),
        standard_error=float(max(0.5 * error, 0.5 * abs(high - low))),
        lower=low - 2.0 * forth.standard_error,
        upper=high + 2.0 * back.standard_error,
        judged=verdict if apart else Verdict(worst.status, evidence, worst.advice),
    )


def flat_draws(path: Path, end: Any, count: int, seed: int) -> Any:
    """Draws of the target as flat vectors, as many as were asked for.

    Args:
        path: the path.
        end: a model to draw from, a tree, or a dict of arrays.
        count: how many.
        seed: of the choice.
    """
    reference, names = Density(path.reference), path.target.free
    if isinstance(end, Model):
        offer = end.capabilities()
        if not offer.drawable or set(end.free) != set(names):
            raise SpecError(
                f"log_z(end=...): a model of {', '.join(names)} that can be drawn from is needed."
                f" {offer.reasons.get('drawable', '')}"
            )
        values = jax.vmap(end.sample)(jax.random.split(seed_key("log_z", seed + 1), count))
    else:
        if hasattr(end, "children"):
            end = {str(name): array.values for name, array in end["posterior"].data_vars.items()}
        missing = [name for name in names if name not in end]
        if missing:
            raise SpecError(f"log_z(end=...): draws of {missing[0]} are missing; it needs {', '.join(names)}.")
        shapes = {name: path.target.spaces[name].shape for name in names}
        flat = {name: _draws("log_z", name, end[name], shapes[name]) for name in names}
        chosen = np.random.default_rng(seed).choice(len(flat[names[0]]), count, replace=len(flat[names[0]]) < count)
        values = {name: jnp.asarray(array[chosen]) for name, array in flat.items()}
    return jax.vmap(lambda values: reference.target.unconstrain({name: values[name] for name in reference.free}))(
        values
    )


def _draws(operation: str, name: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Draws of one variable along the first axis, of one or two that were given."""
    array = np.asarray(given)
    lead = array.ndim - len(shape)
    if lead not in (1, 2) or array.shape[lead:] != shape:
        raise SpecError(
            f"{operation}(end=...): {name} has shape {array.shape}; it was declared {shape}. Give draws along the first"
            " axis, or chains and draws along the first two."
        )
    if not np.isfinite(array).all():
        raise SpecError(f"{operation}(end=...): {name} has values that are NaN or infinite. Remove those draws.")
    return array.reshape(-1, *shape)


@functools.partial(jax.jit, static_argnums=0)
def _back(sampler: Constant, key: jax.Array, path: Any, x: jax.Array) -> Any:
    return sampler.value.run_back(key, path, x)
