"""The record of a model: factors over named variables, what is known of them and what is derived from that."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.spaces.space import abstract

type Abstract = dict[str, Any]


def shapes_of(model: Any) -> Abstract:
    """Shapes of everything that the factors of a model may read; constants are numbers."""
    data = {n: jax.ShapeDtypeStruct(np.shape(v), jax.dtypes.canonicalize_dtype(v.dtype)) for n, v in model.data.items()}
    params = {name: abstract(param.space) for name, param in model.params.items()}
    spaces = {name: abstract(space) for name, space in (*model.declared, *model.inputs)}
    return {**data, **params, **spaces, **dict(model.constants)}


def known(model: Any) -> dict[str, Any]:
    """Values that are fixed: data, constants, parameters, observations."""
    parameters = {name: p.value for name, p in model.params.items()}
    arrays = {**model.data, **parameters, **model.observed}
    return {**{name: jnp.asarray(value) for name, value in arrays.items()}, **dict(model.constants)}
