r"""Does a guide fit the posterior? Weights $p(x, z) / q(z \mid x)$ of its draws, for some of the data.

They are equal where q is the posterior. The logarithm of their mean is below $\log p(x)$ on average and above the bound
that was learned, so the difference says how loose the bound is at least. A tail of the weights without a mean says that
the guide leaves a part of the posterior out.

Reference:
    Burda, Grosse, Salakhutdinov, *Importance weighted autoencoders*, 2015, arXiv:1509.00519; Yao, Vehtari, Simpson,
    Gelman, *Yes, but did it work? Evaluating variational inference*, 2018, arXiv:1802.02538.
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from gmdsl.diagnose.report import Finding
from gmdsl.learning.guide import Guided, log_ratio
from gmdsl.learning.objective import rows
from gmdsl.results.reliability import pareto_k

DATA = 64  # at most
DRAWS = 512  # of the guide for each of them
LOOSE = 1.0  # nats per datum
SOME = 0.1  # nats per datum, beside weights without a mean
HEAVY = 0.7


def guide(fit: Any) -> Finding | None:
    """The finding "guide" of a fit of a model with its guide."""
    if fit.end is None or not isinstance(fit.learned, Guided):
        return None
    count = rows(fit.end.data)
    chosen = np.random.default_rng(0).choice(count, min(count, DATA), replace=False)
    data = {name: values[chosen] for name, values in fit.end.data.items()}
    ratios = np.asarray(_ratios(fit.learned, data, jax.random.fold_in(fit.end.key, 2**31 - 2)), float)
    objective = fit.end.trainer.objective.value
    together = objective.particles if getattr(objective, "importance", False) else 1
    groups = ratios[:, : DRAWS // together * together].reshape(len(ratios), -1, together)
    loose = float(np.mean(_log_mean(ratios) - _log_mean(groups).mean(axis=1)))
    tails = [pareto_k(row) for row in ratios]
    k = float(np.median([tail if np.isfinite(tail) else 0.0 for tail in tails]))
    evidence = f"the bound is below log p(x) by at least {max(loose, 0.0):.2g} nats per datum, Pareto k {k:.2f}"
    if not np.isfinite(loose) or loose > LOOSE or (k > HEAVY and loose > SOME):
        advice = "Its draws are no posterior, and the model is drawn to it: learn longer, or take a wider family of"
        return Finding("guide", "suspect", evidence, f"{advice} guides (full covariance, a flow), or gm.log_marginal.")
    return Finding("guide", "ok", evidence)


@eqx.filter_jit
def _ratios(learned: Guided, data: Any, key: jax.Array) -> jax.Array:
    """Log-weights of draws, one row per datum."""
    keys = jax.random.split(key, (rows(data), DRAWS))
    per_datum = jax.vmap(log_ratio, in_axes=(None, 0, None))
    return jax.lax.map(lambda pair: per_datum(learned, *pair), (keys, data))


def _log_mean(values: np.ndarray) -> np.ndarray:
    """The logarithm of the mean of exponentials, along the last axis."""
    top = values.max(axis=-1, keepdims=True)
    return np.log(np.mean(np.exp(values - top), axis=-1)) + top[..., 0]
