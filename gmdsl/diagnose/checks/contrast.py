r"""Does the noise of noise contrast cover the data and the model? Weights $p(x) / q(x)$ of its draws.

The estimate tends to the truth for noise that covers the data only. Noise that is too narrow leaves data where it never
falls, and the model has weights without a mean there: what was learned of its tails, and log Z with them, is a guess.

Reference:
    Gutmann and Hyvarinen, *Noise-contrastive estimation of unnormalized statistical models*, JMLR 13, 2012.
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.diagnose.report import Finding, percent
from gmdsl.objectives.noise_contrastive import NoiseContrastive
from gmdsl.results.reliability import pareto_k

DRAWS = 4096  # of noise, and at most as many data
BEYOND = 0.02  # of the data, where no draw of noise falls
HEAVY = 0.7
FEW = 40  # draws that count


def contrast(fit: Any) -> Finding | None:
    """The finding "noise covers" of a fit by noise contrast without inputs."""
    objective = None if fit.end is None else fit.end.trainer.objective.value
    if not isinstance(objective, NoiseContrastive) or fit.model.inputs:
        return None
    data = {name: values[:DRAWS] for name, values in fit.end.data.items()}
    weight, noise, real = _look(fit.model, objective, data, jax.random.fold_in(fit.end.key, 2**31 - 3))
    weight = np.asarray(weight, float)
    k, size = pareto_k(weight), _effective(weight)
    beyond = float(np.mean(np.asarray(real) < np.asarray(noise).min()))
    evidence = f"{size:.0f} of {DRAWS} draws of noise count, Pareto k {k:.2f}, {percent(beyond)} of data are beyond all"
    if beyond > BEYOND or size < FEW or k > HEAVY:
        advice = "Take noise with tails at least as wide as the data's: what is learned beyond the noise is a guess."
        return Finding("noise covers", "suspect", evidence, advice)
    return Finding("noise covers", "ok", evidence)


@eqx.filter_jit
def _look(model: Any, objective: NoiseContrastive, data: Any, key: jax.Array) -> tuple[Any, Any, Any]:
    """Log-weights of draws of noise, and the log-density of the noise at its draws and at the data."""
    drawn = objective.reference.sample(key, (DRAWS,))
    drawn = {name: drawn[name] for name in data}
    density = FlatTarget.of(objective.reference).log_density_at
    return jax.vmap(objective.logit(model))(drawn), jax.vmap(density)(drawn), jax.vmap(density)(data)


def _effective(log_weight: np.ndarray) -> float:
    """The effective number of weighted draws."""
    top = log_weight.max()
    weight = np.exp(log_weight - top) if np.isfinite(top) else np.zeros(log_weight.size)
    return float(weight.sum() ** 2 / max((weight**2).sum(), 1e-300))
