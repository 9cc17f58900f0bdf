r"""Is the score the gradient of the log-density? Automatic differentiation against finite differences.

Two traps make a gradient wrong where the log-density is right. `jnp.where(x > 0, jnp.sqrt(x), 0.0)` has a
gradient of NaN for x < 0, because the branch that is not taken is differentiated too; and a
`jax.lax.stop_gradient`, a custom rule or a rounded value gives a gradient that is finite and wrong. Both are seen
along a random direction u: $(\log p(x + hu) - \log p(x - hu)) / 2h$ against $s(x) \cdot u$, in double precision.
Two steps h tell whether the difference itself can be trusted; at a kink or a jump it cannot.

Reference:
    Griewank and Walther, *Evaluating derivatives*, 2008, chapter 14 (branches); Grosse and Duvenaud, *Testing
    MCMC code*, 2014.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gmdsl.compiler.density import Density
from gmdsl.diagnose.positions import Positions, coordinates
from gmdsl.diagnose.probe_points import affordable, log_densities, scores
from gmdsl.diagnose.report import Finding, percent
from gmdsl.models.model import Model

POINTS = 64  # points along the run, and as many beside it
LEAST = 16  # where an evaluation reads very many data
STEP = 1e-4  # of a scale of the draws
FLOOR = 1e-6  # a slope below it is zero: what rounding leaves of terms that cancel
TOLERANCE = 0.02  # relative gap between the two slopes that is called a mismatch


@dataclass(frozen=True)
class Slopes:
    """The two slopes at each point.

    Attributes:
        log_density: its value, -inf outside the support.
        score: the gradient by automatic differentiation.
        finite: where the log-density is finite.
        broken: where the log-density is finite and the score is not.
        wrong: where both are finite, the difference can be trusted, and they differ.
    """

    log_density: Float[np.ndarray, " points"]
    score: Float[np.ndarray, "points dim"]
    finite: Bool[np.ndarray, " points"]
    broken: Bool[np.ndarray, " points"]
    wrong: Bool[np.ndarray, " points"]


def gradient(model: Model, found: Positions, names: list[str] | None = None) -> Finding:
    """The finding "gradient": at draws, and beside them, where a trap may have kept the chains out."""
    rng = np.random.default_rng(0)
    flat = found.x.reshape(-1, found.x.shape[-1]).astype(float)
    flat = flat[np.isfinite(flat).all(axis=1)]
    scale = np.maximum(flat.std(axis=0), 1e-12 * np.maximum(1.0, np.abs(flat).max(axis=0, initial=0.0)))
    count = affordable(Density(model).target, POINTS, LEAST)
    at = flat[np.linspace(0, len(flat) - 1, count).astype(int)]
    beside = at + 2.0 * scale * unit(rng, at.shape) * np.sqrt(min(at.shape[1], 4))
    try:
        slopes = compare(model, np.concatenate([at, beside]), scale, rng)
    except Exception as error:  # the user's function may not run in double precision
        text = str(error).split("\n")[0][:80]
        return Finding("gradient", "note", f"not examined: in double precision the model fails ({text})")
    names = names or coordinates(Density(model))
    return verdict("gradient", slopes, names, "points along the draws")


def compare(model: Model, x: np.ndarray, scale: Any, rng: np.random.Generator) -> Slopes:
    """Both slopes of a model at flat points, in double precision."""
    u = unit(rng, x.shape) * scale
    value, score = scores(model, x)
    differences = []
    for step in (STEP, 2.0 * STEP):
        up, down = log_densities(model, x + step * u), log_densities(model, x - step * u)
        with np.errstate(invalid="ignore"):
            differences.append((up - down) / (2.0 * step))
    finite = np.isfinite(value)
    smooth = np.isfinite(score).all(axis=1)
    with np.errstate(invalid="ignore"):
        slope = (score * u).sum(axis=1)
        noise = np.abs(differences[0] - differences[1]) + 1e-13 * np.abs(value) / STEP
        gap = np.abs(differences[0] - slope)
        usual = np.median(np.abs(differences[0][np.isfinite(differences[0])])) if finite.any() else 0.0
        size = np.abs(differences[0]) + np.abs(slope)
        known = finite & smooth & np.isfinite(noise) & (noise < 0.1 * TOLERANCE * (size + usual))
        wrong = known & (gap > TOLERANCE * (size + 0.1 * usual) + 10.0 * noise + FLOOR)
    return Slopes(value, score, finite, finite & ~smooth, wrong)


def verdict(name: str, slopes: Slopes, names: list[str], where: str) -> Finding:
    """The finding of a comparison."""
    total = int(slopes.finite.sum())
    if slopes.broken.any():
        guilty = sorted({names[i] for i in np.flatnonzero(~np.isfinite(slopes.score[slopes.broken]).all(axis=0))})
        evidence = f"NaN or infinite at {percent(slopes.broken.sum() / total)} of {total} {where} where the"
        evidence += f" log-density is finite ({', '.join(guilty[:3])})"
        advice = "jnp.where differentiates both branches: make the unused one safe before the where."
        return Finding(name, "suspect", evidence, advice)
    if slopes.wrong.any():
        evidence = f"differs from finite differences at {percent(slopes.wrong.sum() / total)} of {total} {where}"
        return Finding(name, "suspect", evidence, "Look for stop_gradient, rounding or a rule of differentiation.")
    if not total:
        return Finding(name, "note", "not examined: the log-density is finite at no point", "Look at the support.")
    return Finding(name, "ok", f"agrees with finite differences at {total} {where}")


def unit(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random directions of length one."""
    u = rng.normal(size=shape)
    return u / np.linalg.norm(u, axis=-1, keepdims=True)
