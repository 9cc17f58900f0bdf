"""May a parameter leave its domain? A probability above one, a negative rate, a covariance that is not symmetric."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.diagnose.probe_points import starts
from gmdsl.diagnose.report import Finding, listed, percent
from gmdsl.distributions.domain import in_domain
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.wrapped import innermost
from gmdsl.models.model import Model

NAME = "domains"
COUNT = 200


def domains(model: Model) -> Finding:
    """The finding "domains"."""
    factors = [inner for f in model.factors if isinstance(inner := innermost(f), Distributed) and inner.guarded]
    if not factors:
        return Finding(NAME, "ok", "every parameter stays inside of its constraint")
    target = FlatTarget.of(model)

    @jax.jit
    def outside(x: Any) -> list[Any]:
        values = target.named(x)
        return [~jnp.all(in_domain(f.distribution(values), f.guarded)) for f in factors]

    shares = np.mean([np.asarray(outside(x)) for x in starts(target.dim, COUNT)], axis=0)
    found = [
        f"{' and '.join(f.guarded)} of {f.children[0]} at {percent(share)} of {COUNT} points"
        for f, share in zip(factors, shares, strict=True)
        if share > 0
    ]
    if not found:
        return Finding(NAME, "ok", "no parameter is outside of its constraint at the points that were tried")
    advice = "The density is zero there. Map it inside, as by jnp.exp, jax.nn.sigmoid or softmax, or bound its parents."
    return Finding(NAME, "suspect", f"outside of its constraint: {listed(found)}", advice)
