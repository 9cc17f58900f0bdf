r"""Stein's identity: do the draws and the score belong to one density?

For a smooth density p and a function h that grows slowly, $E_p[h'(x_i) + h(x_i)\, \partial_i \log p(x)] = 0$.
Three functions are taken at every coordinate of the unconstrained vector, centred at the median m of the
draws: $h = 1$ (sees location), $h = x - m$ (sees scale: $E[(x_i - m)\, s_i] = -1$) and the bounded
$h = \tanh((x - m) / \text{scale})$; and the sum of the second over all coordinates, $E[(x - m) \cdot s] = -d$.
On a power-law tail the score falls as 1/x, so that all of them are bounded there: they have a variance where
the draws have none.

Every mean is divided by its Monte Carlo standard error, with the effective size of that very quantity, and
corrected for skewness. The largest of all is compared with a limit that independent truths pass in 99.8 % of
reports (Bonferroni). Coordinates along which the density ends at a hard wall are left out, since the identity
does not hold there (`gmdsl.diagnose.walls`). The identity is local: a mode that no chain has seen leaves it intact.

Reference:
    Stein, *A bound for the error in the normal approximation*, 1972; Gorham and Mackey, *Measuring sample
    quality with Stein's method*, 2015; Hall, *On the removal of skewness by transformation*, 1992.
"""

import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.diagnose.positions import Positions, coordinates, log_densities_and_scores
from gmdsl.diagnose.probe_points import affordable
from gmdsl.diagnose.report import Finding, listed, percent
from gmdsl.diagnose.walls import coordinates_with_walls

EVALUATIONS = 4000  # scores that are evaluated at most
FEWEST = 400  # where one reads very many data: the level is kept, and a bias must be larger to be seen
LEVEL = 0.002  # chance that the limit is exceeded by correct draws
LEAST = 50  # effective draws of a quantity below which its mean says nothing
MOST = 3000  # quantities whose effective size is worked out; the largest by a rough z


def stein(density: Density, found: Positions) -> list[Finding]:
    """The findings "finite scores" and "Stein identity" at the draws of a run."""
    found = found.thinned(affordable(density.target, EVALUATIONS, FEWEST))
    log_density, score = log_densities_and_scores(density, found.x)
    x, score, names = found.x[..., ~density.gone], score[..., ~density.gone], coordinates(density)
    names = [name for name, gone in zip(names, density.gone, strict=True) if not gone]
    bad = ~(np.isfinite(score).all(axis=-1) & np.isfinite(log_density))
    if found.log_weight is not None:
        bad &= np.isfinite(found.log_weight)
    if bad.any():
        evidence = f"the score is NaN or infinite at {percent(bad.mean())} of {bad.size} draws"
        advice = "jnp.where differentiates both branches: make the unused one safe first. See gm.lint(model)."
        skipped = Finding("Stein identity", "note", "not examined: scores are not finite", "Mend the scores first.")
        return [Finding("finite scores", "suspect", evidence, advice), skipped]
    finite = Finding("finite scores", "ok", f"finite at {bad.size} draws")
    if found.log_weight is not None:
        values, names = quantities(x.astype(float), score.astype(float), names)
        return [finite, _judge(*_score_weighted(values, found.log_weight), names)]
    judged = stein_of(x.astype(float), score.astype(float), names)
    if judged.status == "suspect":
        judged = _beside_walls(judged, density, found.x, score, names)
    return [finite, judged]


def _beside_walls(judged: Finding, density: Density, x: np.ndarray, score: np.ndarray, names: list[str]) -> Finding:
    """The finding without coordinates along which the density ends near draws: the identity does not hold there."""
    walls = coordinates_with_walls(density, x)[~density.gone]
    if not walls.any():
        return judged
    told = f"the density ends at a wall near the draws along {listed(np.array(names)[walls])}"
    advice = "Declare the support, such as gm.Positive() or gm.Interval(0, 1), where it is one of coordinates."
    if walls.all():
        return Finding("Stein identity", "note", f"not examined: {told}, where the identity does not hold", advice)
    left = x[..., ~density.gone][..., ~walls].astype(float)
    rest = stein_of(
        left, score[..., ~walls].astype(float), [name for name, wall in zip(names, walls, strict=True) if not wall]
    )
    return Finding("Stein identity", rest.status, f"{rest.evidence}; not examined there: {told}", rest.advice or advice)


def stein_of(x: np.ndarray, score: np.ndarray, names: list[str]) -> Finding:
    """The finding "Stein identity" of draws and scores, both (chain, draw, dim), with the names of coordinates."""
    if x.shape[0] * x.shape[1] < 2 * LEAST or x.shape[1] < 10:
        return _too_few(x.shape[0] * x.shape[1])
    values, called = quantities(x, score, names)
    return _judge(*_chains(values), called)


def quantities(x: np.ndarray, score: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """Quantities of mean zero, (chain, draw, quantity), and what they are called.

    Args:
        x: draws, (chain, draw, dim).
        score: their scores.
        names: what each coordinate is called.
    """
    center = np.median(x, axis=(0, 1))
    scale = 1.4826 * np.median(np.abs(x - center), axis=(0, 1))
    scale = np.where(scale > 0, scale, np.maximum(x.std(axis=(0, 1)), np.finfo(float).tiny))
    u, s = (x - center) / scale, score * scale
    bend = np.tanh(u)
    parts = [s, 1.0 + u * s, 1.0 - bend**2 + bend * s]
    called = [f"E[{what}] of {name}" for what in ("score", "x score", "tanh(x) score") for name in names]
    if len(names) > 1:
        parts.append(parts[1].sum(axis=-1, keepdims=True))
        called.append("E[x score], summed")
    return np.concatenate(parts, axis=-1), called


def _chains(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z-scores of the means, and the effective sizes."""
    from arviz_stats.base import array_stats

    mean, deviation = values.mean(axis=(0, 1)), values.std(axis=(0, 1))
    constant = deviation <= 1e-12 * np.abs(mean)  # a score that never changes; its identity fails for certain
    deviation = np.where(constant, 1.0, np.where(deviation > 0, deviation, np.inf))
    size = np.full(values.shape[-1], float(values.shape[0] * values.shape[1]))
    chosen = np.argsort(-np.abs(mean / deviation))[:MOST]
    size[chosen] = array_stats.ess(values[..., chosen], chain_axis=0, draw_axis=1, method="mean")
    size = np.where(np.isfinite(size), np.minimum(size, values.shape[0] * values.shape[1]), 0.0)
    size = np.where(constant, float(values.shape[0] * values.shape[1]), size)
    skewness = (((values - mean) / deviation) ** 3).mean(axis=(0, 1))
    return _remove_skew(mean / deviation * np.sqrt(size), skewness, size), size


def _score_weighted(values: np.ndarray, log_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for independent weighted draws."""
    log_weight = np.where(np.isnan(log_weight), -np.inf, log_weight)
    weight = np.exp(log_weight - log_weight.max())[..., None]
    weight = weight / weight.sum()
    used = np.where(weight > 0, values, 0.0)
    mean = (weight * used).sum(axis=(0, 1))
    error = np.sqrt((weight**2 * (used - mean) ** 2).sum(axis=(0, 1)))
    size = 1.0 / (weight**2).sum()
    error = np.where(error > 0, error, np.inf)
    return mean / error, np.full(values.shape[-1], size)


def _remove_skew(z: np.ndarray, skewness: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Hall's cubic: a mean over its own error is skewed the other way; monotone in z."""
    k = skewness / np.sqrt(np.maximum(size, 1.0))
    return z + k * z**2 / 3.0 + k**2 * z**3 / 27.0 + k / 6.0


def _judge(z: np.ndarray, size: np.ndarray, names: list[str]) -> Finding:
    from scipy.stats import t

    if size.max() < LEAST:
        return _too_few(size.max(), names[int(size.argmax())])
    judged = size >= LEAST
    z, size, names = z[judged], size[judged], [name for name, good in zip(names, judged, strict=True) if good]
    # Effective sizes are estimates: their error makes tails heavier than normal ones.
    share = LEVEL / (2 * len(judged))
    limits = t.isf(share, np.maximum(size / 10.0, 5.0))
    worst = int(np.argmax(np.abs(z) / limits))
    evidence = f"largest |z| {abs(z[worst]):.1f} of {len(z)} quantities ({names[worst]}), limit {limits[worst]:.1f}"
    if (~judged).any():
        evidence += f"; {int((~judged).sum())} more have too few effective draws"
    if abs(z[worst]) <= limits[worst]:
        return Finding("Stein identity", "ok", evidence)
    advice = "The draws miss mass or have a bias there, or the density jumps (a hard wall: declare the support)."
    return Finding("Stein identity", "suspect", evidence, f"{advice} Run gm.lint(model).")


def _too_few(size: float, name: str = "") -> Finding:
    evidence = f"not examined: {size:.0f} effective draws{' for ' if name else ''}{name}"
    return Finding("Stein identity", "note", evidence, f"At least {LEAST} are needed: run more draws.")
