r"""Draws of a way back from noise, against the law of the family that they came from.

A solver with too few steps gives draws of another law than the family's, whatever its score. Two looks are taken.
Stein's identity asks whether draws and score belong together; errors may cancel in its three functions. So the draws
are compared with exact ones, too: every coordinate, random directions and the log-density, by the two-sample test of
Kolmogorov and Smirnov, with Bonferroni's correction.

A data set has no density; its draws are noised to a time t at which the noise is a fraction of their spread,
$x_t = \alpha_t x + \sigma_t z$, and $p_t$ is looked at. A learned score belongs to no law that is known, and is not
judged.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.diagnose.checks.stein import stein, stein_of
from gmdsl.diagnose.positions import positions
from gmdsl.diagnose.report import Finding
from gmdsl.diffusion.noised import Noised

STEIN, LAW = "Stein identity", "exact draws"
FRACTION = 0.3  # of the spread of the draws: the noise that is added to them for Stein's identity
SMALL, BLUR = 0.05, 0.15  # the same for the comparison with exact draws, of a model and of a data set
MOST = 4000  # draws that are looked at
EXACT = 20_000  # draws that they are compared with
COORDINATES, DIRECTIONS = 50, 16  # that are looked along, at most
LEVEL = 0.002  # chance that correct draws are called suspect
LEAST = 100  # draws that are compared, at least


def reverse_checks(tree: Any, family: Noised) -> list[Finding]:
    """The findings "Stein identity" and "exact draws" of draws of a noised family."""
    if family.denoiser.kind == "learned":
        advice = "Compare with data, gm.mmd(draws, data), and with draws of twice the steps."
        return [Finding(name, "note", "not examined: the score is learned", advice) for name in (STEIN, LAW)]
    x, names = _draws(tree, family)
    if family.model is None:
        return [_stein_of_data(x, names, family), _law(x, names, family)]
    density = Density(family.model)
    return [stein(density, positions(tree, density))[-1], _law(x, names, family)]


def _draws(tree: Any, family: Noised) -> tuple[np.ndarray, list[str]]:
    """The draws, (chain, draw, dim), and the names of their coordinates."""
    group = tree["posterior"]
    parts = [group[name].transpose("chain", "draw", ...).values for name in family.free]
    x = np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=-1)[:, :MOST].astype(float)
    return x, [
        f"{name}{list(index) if space.shape else ''}" for name, space in family.declared
        for index in np.ndindex(*space.shape)
    ]  # fmt: skip


def _stein_of_data(x: np.ndarray, names: list[str], family: Noised) -> Finding:
    x, t = _noised(x, family, FRACTION)
    flat = family.flat
    score = jax.jit(jax.vmap(jax.vmap(lambda point: flat.score(point, t))))(x)
    return stein_of(x, np.asarray(score, float), names)


def _law(x: np.ndarray, names: list[str], family: Noised) -> Finding:
    """Draws of the way back against exact ones, both with a little noise."""
    from scipy.stats import ks_2samp

    if x.shape[0] * x.shape[1] < LEAST:
        return Finding(LAW, "note", f"not examined: {x.shape[0] * x.shape[1]} draws", f"Make at least {LEAST}.")
    x, t = _noised(x, family, BLUR if family.model is None else SMALL)
    given, exact = (_along(points, family, t) for points in (x.reshape(-1, x.shape[-1])[-MOST:], _exact(family, t)))
    called = [*names[:COORDINATES], *["a random direction"] * (given.shape[1] - 1 - len(names[:COORDINATES]))]
    found = [ks_2samp(a, b, method="asymp") for a, b in zip(given.T, exact.T, strict=True)]
    worst = min(range(len(found)), key=lambda index: found[index].pvalue)
    gap, chance = float(found[worst].statistic), float(found[worst].pvalue) * len(found)
    rare = f"in {max(chance, 1e-99):.1g} of runs" if chance < 1 else "often"
    evidence = f"distribution functions differ by {gap:.2g} ({[*called, 'the log-density'][worst]}), by chance {rare}"
    if chance < LEVEL:
        return Finding(LAW, "suspect", evidence, "Take more steps of the way back, or a solver of higher order.")
    return Finding(LAW, "ok", evidence)


def _exact(family: Noised, t: Any) -> np.ndarray:
    """Draws of the family at one time, as flat vectors."""
    factor = family.denoiser.frozen(family.process, t, family.declared)
    drawn = factor.draw(jax.random.key(0), {}, (EXACT,))
    return np.concatenate([np.asarray(drawn[name], float).reshape(EXACT, -1) for name in family.free], axis=-1)


def _along(x: np.ndarray, family: Noised, t: Any) -> np.ndarray:
    """Quantities of points, (point, quantity): coordinates, random directions, the log-density."""
    dim, flat = x.shape[1], family.flat
    directions = np.random.default_rng(1).normal(size=(dim, DIRECTIONS if dim > 1 else 0))
    log_density = jax.jit(jax.vmap(lambda point: flat.denoiser.log_density(flat.process, point, t)))(x[:MOST])
    rest = np.concatenate([x[:MOST, :COORDINATES], x[:MOST] @ directions], axis=1)
    return np.concatenate([rest, np.asarray(log_density, float)[:, None]], axis=1)


def _noised(x: np.ndarray, family: Noised, fraction: float) -> tuple[np.ndarray, Any]:
    """Draws with noise of a fraction of their spread, and the time at which the family has it."""
    spread = fraction * float(np.median(x.std(axis=(0, 1))))
    times = float(family.process.t_max) * np.geomspace(1e-6, 1.0, 2000)
    ratio = np.asarray(jax.vmap(lambda t: family.process.sigma(t) / family.process.alpha(t))(times))
    t = jnp.asarray(times[np.nanargmin(np.abs(np.log(ratio / spread)))])
    noise = np.random.default_rng(0).normal(size=x.shape)
    return float(family.process.alpha(t)) * x + float(family.process.sigma(t)) * noise, t
