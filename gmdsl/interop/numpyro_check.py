"""The density of a NumPyro model as built, against the one that NumPyro computes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.interop.numpyro_program import NumPyroProgram
from gmdsl.interop.numpyro_sites import Sites

TOLERANCE = 2000.0  # rounding errors of one, times the sum of the sizes of the terms


def check_density(program: NumPyroProgram, sites: Sites, data: dict[str, Any]) -> None:
    """Compares at two points.

    Raises:
        SpecError: the densities differ, depend on random numbers, or cannot be traced.
    """
    where = f"from_numpyro_model({program.label})"
    try:
        for point in sites.points():
            ours, theirs, again, size = map(float, _densities(program, data, sites.observed, point))
            if not _close(theirs, again, size):
                raise SpecError(
                    f"{where}: the density depends on random numbers ({theirs:.6g} with one key, {again:.6g} with"
                    " another), as from numpyro.prng_key(), a random subset, or a site that handlers.block hides. Make"
                    " them once and pass them as data; a hidden site must be seen to be a variable."
                )
            if not _close(ours, theirs, size):
                raise SpecError(
                    f"{where}: its log-density is {ours:.6g} here and {theirs:.6g} by NumPyro, so it cannot be taken"
                    f" over. Declare it by gm.joint. The point: {_listed(point)}."
                )
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        first = str(error).strip().splitlines()[0]
        raise SpecError(
            f"{where}: it needs the number behind a random value ({first}). Compute with jax.numpy, and choose by"
            " jnp.where in place of if."
        ) from error


@jax.jit
def _densities(program: NumPyroProgram, data: Any, observed: Any, point: Any) -> tuple[Any, Any, Any, Any]:
    """Ours, NumPyro's with two keys, and the sum of the sizes of the terms."""
    from numpyro import handlers
    from numpyro.infer.util import log_density

    values = {**data, **observed}
    traced = program.traced

    def theirs(seed: int) -> tuple[Any, Any]:
        return log_density(handlers.seed(traced.call, seed), (values,), {}, point)

    (one, found), (other, _) = theirs(0), theirs(1)
    terms = [site["fn"].log_prob(site["value"]) for site in found.values() if site["type"] == "sample"]
    size = sum((jnp.sum(jnp.abs(term)) for term in terms), jnp.zeros(()))
    return program.log_density({**values, **point}), one, other, size


def _close(first: float, second: float, size: float) -> bool:
    if not np.isfinite(first) or not np.isfinite(second):
        return repr(first) == repr(second)
    eps = float(jnp.finfo(jnp.zeros(()).dtype).eps)
    return abs(first - second) <= TOLERANCE * eps * (1.0 + (size if np.isfinite(size) else abs(first)))


def _listed(point: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} = {np.array2string(np.asarray(v), precision=3, threshold=4)}" for name, v in point.items()
    )
