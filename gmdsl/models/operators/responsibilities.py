"""The posterior probabilities of the hidden label of a mixture."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.graph.evaluate import completed
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.factors.mixture import Mixture

if TYPE_CHECKING:
    pass


def responsibilities(model: FactorGraph, values: Any) -> Float[Array, " parts"]:
    """The posterior probabilities of the labels at one point; see `Model.responsibilities`."""
    found = [factor for factor in model.factors if isinstance(factor, Mixture)]
    if len(found) != 1:
        what = "is not a mixture" if not found else f"has {len(found)} mixtures"
        raise SpecError(f"responsibilities(...): the model {what}. Ask the result of one gm.mixture.")
    point = values if isinstance(values, Mapping) else dict.fromkeys(model.free[:1], values)
    inputs = dict(model.inputs)
    for name in point:
        if name not in model.free and name not in inputs:
            raise unknown_name(f"responsibilities({{{name!r}: ...}})", name, [*model.free, *inputs])
    point = {name: jnp.asarray(value) for name, value in point.items()}
    spaces = {**inputs, **model.spaces}
    for name in (*model.free, *inputs):
        space = spaces[name]
        if name not in point:
            raise SpecError(f"responsibilities(...): {name} is missing; give {', '.join((*model.free, *inputs))}.")
        if point[name].shape != space.shape:
            raise SpecError(
                f"responsibilities(...): {name} has shape {point[name].shape}, but was declared {space.shape}."
                " Pass one point; for many, use jax.vmap."
            )
    return jax.nn.softmax(found[0].log_terms(completed(model, point)))
