"""Can a chain start? The log-density and its score at random starts, in the precision that is used."""

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.diagnose.probe_points import scores, starts
from gmdsl.diagnose.report import Finding, percent
from gmdsl.models.model import Model

NAME = "starts"
COUNT = 50
FEW = 0.2


def start(model: Model) -> Finding:
    """The finding "starts"."""
    density = Density(model)
    points = starts(density.dim, COUNT)
    value, score = scores(model, points, double=jax.config.jax_enable_x64)
    usable = np.isfinite(value) & np.isfinite(score).all(axis=1)
    if usable.mean() >= FEW:
        return Finding(NAME, "ok", f"log-density and score are finite at {percent(usable.mean())} of {COUNT} starts")
    guilty = _guilty(density, points[~usable])
    evidence = f"log-density or score not finite at {percent(1.0 - usable.mean())} of {COUNT} starts, mostly {guilty}"
    advice = "Is an observed value outside the support, or a term NaN? gm.sample(init=...) starts elsewhere."
    return Finding(NAME, "failed" if not usable.any() else "suspect", evidence, advice)


def _guilty(density: Density, points: np.ndarray) -> str:
    """The factor that is not finite at most of the points."""
    counts: dict[str, int] = {}
    run = jax.jit(FlatTarget.terms)  # outside jit, NumPyro warns of each value outside a support
    for x in points[:10]:
        values = density.constrain(x)
        terms = run(density.target, {name: values[name] for name in density.free})
        for name, value in terms.items():
            counts[name] = counts.get(name, 0) + (not np.isfinite(float(value)))
    worst = max(counts, key=lambda name: counts[name], default="")
    return worst if counts.get(worst) else "its score"
