r"""`empirical`: the distribution of a data set, $\frac{1}{n} \sum_i \delta(x - x_i)$.

It can be drawn from and integrated under a kernel, $\int p(y \mid x)\, dx = \frac{1}{n} \sum_i p(y \mid x_i)$,
but has no density of its own.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.user_arrays import as_numbers
from gmdsl.graph.factors.empirical import EmpiricalFactor
from gmdsl.graph.names import check_name
from gmdsl.models.model import Model
from gmdsl.spaces.discrete import Integer
from gmdsl.spaces.space import Real, Space


def empirical(values: Mapping[str, Any] | None = None, /, **named: Any) -> Model:
    """The distribution of a data set: each row with the same probability.

    Args:
        values: arrays by name, for names that are not identifiers.
        named: arrays by name, one row per datum; the rows of several names belong together.

    Raises:
        SpecError: no array, lengths that differ, something that is no numbers, NaN.

    >>> import gmdsl as gm, jax.numpy as jnp, numpyro.distributions as dist
    >>> kernel = gm.joint(x0=gm.input(gm.Real()), x=lambda x0: dist.Normal(x0, 1.0))
    >>> smooth = (gm.empirical(x0=[-1.0, 1.0]) * kernel).marginalize("x0")
    >>> bool(jnp.isclose(gm.compile(smooth).log_density({"x": 0.0}), dist.Normal(1.0, 1.0).log_prob(0.0)))
    True
    """
    given = {**(values or {}), **named}
    if not given:
        raise SpecError("empirical(): no data. Write gm.empirical(x=array), one row per datum.")
    arrays = {name: as_numbers(f"empirical({name}=...)", rows) for name, rows in given.items()}
    lengths = {name: len(rows) if rows.ndim else 0 for name, rows in arrays.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise SpecError(f"empirical(...): the lengths are {lengths}. Give each variable one row per datum.")
    for name in arrays:
        check_name(name)
    declared = tuple((name, _space(rows)) for name, rows in arrays.items())
    return Model((EmpiricalFactor(tuple(arrays.values()), declared),), declared)


def _space(rows: np.ndarray) -> Space:
    return Real(*rows.shape[1:]) if rows.dtype.kind == "f" else Integer(*rows.shape[1:])
