r"""Is single precision enough? The log-density in float32 against float64, where chains will be.

What matters to a sampler is a difference of log-densities, so both are centred before they are compared: $10^8 + x^2$
is exact to eight digits and useless. Points are starts that have walked uphill for a while, since far from the mode
a log-density is large and nobody needs its digits.
"""

from typing import Any

import jax
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.diagnose.probe_points import SEE_STARTS, log_densities, scores, starts
from gmdsl.diagnose.report import Finding
from gmdsl.models.model import Model

NAME = "single precision"
POINTS = 16
WALK = 100  # steps uphill
ERROR = 0.1  # of a log-density: what changes an acceptance rate by a tenth
SCORE_ERROR = 0.02  # relative
FELT = 0.25  # of either: what a run suffers from
DRAWS = 64  # of a run, at which both precisions are compared
LARGER = 100.0  # times the rounding: what lies further from the model's log-density is another one

SAME = "same density"
OTHER = (
    "Give the model that was sampled, conditioned on the same data, with the same parameters; or sample this one anew."
)
ADVICE = "Terms that are large cancel: subtract constants, use logsumexp or log1p, or jax_enable_x64."


def precision(model: Model) -> Finding:
    """The finding "single precision"."""
    if jax.config.jax_enable_x64:
        return Finding(NAME, "ok", "double precision is on")
    x = _spread(model, _uphill(model, starts(Density(model).dim, POINTS)))
    if len(x) < 4:
        return Finding(NAME, "note", "not examined: the log-density is finite at too few starts", SEE_STARTS)
    error, slope, evidence = _lost(*_both(model, x))
    return Finding(
        NAME, *(("ok", evidence) if error <= ERROR and slope <= SCORE_ERROR else ("suspect", evidence, ADVICE))
    )


def precision_at(model: Model, x: np.ndarray, lp: np.ndarray | None = None) -> Finding:
    """The finding "single precision" at the draws of a run.

    The same terms are rounded in another way in each compiled program. So what the sampler itself had counts, too. An
    error that a sampler does not feel is a note: its draws follow a density that is a little rough.

    Args:
        model: what was sampled.
        x: flat draws, (point, dim).
        lp: the log-densities that the sampler had there, up to a constant.
    """
    chosen = np.unique(np.linspace(0, len(x) - 1, DRAWS).astype(int))
    x, lp = x[chosen], None if lp is None else lp[chosen]
    if jax.config.jax_enable_x64:
        other = None
        if lp is not None:
            fine = log_densities(model, x.astype(float))
            other = _another_density(fine, fine, lp)
        return other or Finding(NAME, "ok", "double precision is on")
    both = _both(model, x)
    other = None if lp is None else _another_density(both[0][0], both[1][0], lp)
    error, slope, evidence = _lost(*both, lp)
    if other is not None or (error <= ERROR and slope <= SCORE_ERROR):
        return other or Finding(NAME, "ok", evidence)
    felt = error > FELT or slope > FELT
    return Finding(NAME, "suspect" if felt else "note", evidence, ADVICE)


def _another_density(fine: np.ndarray, rounded: np.ndarray, lp: np.ndarray) -> Finding | None:
    """The finding "same density", where the sampler had log-densities that no rounding makes of those of the model."""
    kept = np.isfinite(fine) & np.isfinite(lp) & np.isfinite(rounded)
    if kept.sum() < len(lp) / 2:
        return None
    apart, rounding = _usual(_gap(lp[kept], fine[kept])), _usual(_gap(rounded[kept], fine[kept]))
    digits = np.finfo(np.float32).eps * float(np.abs(fine[kept]).max())
    if apart <= max(FELT, LARGER * max(rounding, digits)):
        return None
    evidence = f"the log-density that the sampler had at its draws is off from that of the model by {apart:.2g}"
    evidence += f", where rounding is {max(rounding, digits):.1g}: these are draws of another density"
    return Finding(SAME, "suspect", evidence, OTHER)


def _both(model: Model, x: np.ndarray) -> tuple[Any, Any]:
    """Log-densities and scores in double and in single precision, at points that the latter can hold."""
    x = x.astype(np.float32).astype(float)
    return scores(model, x), scores(model, x, double=False)


def _lost(double: Any, single: Any, lp: np.ndarray | None = None) -> tuple[float, float, str]:
    """The errors of the log-density and, relative, of the score, and what to say of them."""
    (fine, fine_score), (coarse, coarse_score) = double, single
    with np.errstate(invalid="ignore"):
        gap = _gap(coarse, fine) if lp is None else np.maximum(_gap(coarse, fine), _gap(lp, fine))
        lost = np.linalg.norm(coarse_score - fine_score, axis=1) / (np.linalg.norm(fine_score, axis=1) + 1.0)
    error, slope = _usual(gap), _usual(lost)
    return error, slope, f"float32 is off by {error:.1g} in the log-density, by {100 * slope:.1g} % in the score"


def _gap(coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    return np.abs((coarse - np.median(coarse)) - (fine - np.median(fine)))


def _uphill(model: Model, x: np.ndarray) -> np.ndarray:
    """Points after steps of fixed and then falling length along the score."""
    x = x[np.isfinite(log_densities(model, x))]
    if not len(x):
        return x
    for step in np.geomspace(0.1, 0.01, WALK):
        score = scores(model, x)[1]
        size = np.linalg.norm(score, axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            moved = x + step * np.sqrt(x.shape[1]) * score / size
        x = np.where(np.isfinite(moved).all(axis=1, keepdims=True), moved, x)
    return x[np.isfinite(scores(model, x)[1]).all(axis=1)]


def _spread(model: Model, x: np.ndarray) -> np.ndarray:
    """Points moved sideways until the log-density has fallen by about as much as it varies under a sampler."""
    if not len(x):
        return x
    rng, moved = np.random.default_rng(1), x.copy()
    top, fall = log_densities(model, x), 0.5 * x.shape[1] + 2.0
    direction = rng.normal(size=x.shape)
    for power in range(-20, 6):
        further = x + 2.0**power * direction
        near = log_densities(model, further) > top - fall
        moved = np.where(near[:, None], further, moved)
    return moved


def _usual(values: np.ndarray) -> float:
    """The upper quartile; infinite where a value is not finite."""
    return float(np.quantile(values, 0.75)) if np.isfinite(values).all() else float("inf")
