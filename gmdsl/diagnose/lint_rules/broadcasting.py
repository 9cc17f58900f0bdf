"""Arrays of different rank combined without saying so: (50,) with (50, 1) gives (50, 50), and no error."""

from typing import Any

import jax
import jax.numpy as jnp

from gmdsl.diagnose.report import Finding, listed
from gmdsl.graph.factor_graph import known
from gmdsl.graph.order import unique_names
from gmdsl.models.model import Model
from gmdsl.spaces.space import abstract

NAME = "broadcasting"


def broadcasting(model: Model) -> Finding:
    """The finding "broadcasting": rank promotion inside the user's functions."""
    have = {name: abstract(space) for name, space in (*model.declared, *model.inputs)}
    have |= {name: jax.eval_shape(jnp.asarray, value) for name, value in {**model.data, **model.observed}.items()}
    have |= {name: abstract(param.space) for name, param in model.params.items()}
    rest = {name: value for name, value in known(model).items() if name not in have}
    found = []
    for factor, label in zip(model.factors, unique_names(model.factors), strict=True):
        call = getattr(factor, "call", None)
        if call is not None:
            found += [f"{label}: {text}"] if (text := _promotion(call, have, rest)) else []
    if not found:
        return Finding(NAME, "ok", "no array changes its rank unasked")
    return Finding(NAME, "suspect", listed(found, most=2), "Add the axis yourself, as in x[:, None].")


def _promotion(call: Any, have: dict[str, Any], rest: dict[str, Any]) -> str:
    """The first promotion of rank, as JAX tells it; asked to raise, because a warning is given only once."""
    shapes = {name: have[name] for name in call.variables if name in have}

    def run(values: dict[str, Any]) -> Any:
        result = call({**rest, **values})
        return result if isinstance(result, jax.Array) else jnp.zeros(())

    try:
        with jax.numpy_rank_promotion("raise"):
            jax.eval_shape(run, shapes)
    except ValueError as error:
        text = str(error).split(" and with the config")[0].removeprefix("Operands could not be broadcast together for ")
        return text if "rank_promotion" in str(error) else ""
    return ""
