r"""Draws of a way back from noise, against the score of the family that they came from.

A solver with too few steps gives draws of another law than the family's, whatever its score. Where the family is made
of a model, its density says so by Stein's identity. A data set has no density; its draws are noised to a time t at
which the noise is a fraction of their spread, $x_t = \alpha_t x + \sigma_t z$, and the identity is looked at for $p_t$.
A learned score belongs to no density that is known, and is not judged.
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

NAME = "Stein identity"
FRACTION = 0.3  # of the spread of the draws: how much noise is added to them
MOST = 4000  # draws that are looked at


def reverse_stein(tree: Any, family: Noised) -> Finding:
    """The finding "Stein identity" of draws of a noised family."""
    if family.denoiser.kind == "learned":
        return Finding(NAME, "note", "not examined: the score is learned", "Compare with data: gm.mmd(draws, data).")
    if family.model is not None:
        density = Density(family.model)
        return stein(density, positions(tree, density))[-1]
    return _of_data(tree, family)


def _of_data(tree: Any, family: Noised) -> Finding:
    group = tree["posterior"]
    parts = [group[name].transpose("chain", "draw", ...).values for name in family.free]
    x = np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=-1)[:, :MOST].astype(float)
    t = jnp.asarray(_time(family, float(np.median(x.std(axis=(0, 1))))))
    noise = np.random.default_rng(0).normal(size=x.shape)
    x = float(family.process.alpha(t)) * x + float(family.process.sigma(t)) * noise
    flat = family.flat
    score = jax.jit(jax.vmap(jax.vmap(lambda point: flat.score(point, t))))(x)
    names = [
        f"{name}{list(index) if space.shape else ''}" for name, space in family.declared
        for index in np.ndindex(*space.shape)
    ]  # fmt: skip
    return stein_of(x, np.asarray(score, float), names)


def _time(family: Noised, spread: float) -> float:
    """The time at which noise and data stand in the ratio that is looked at."""
    times = np.linspace(0.0, float(family.process.t_max), 1001)[1:]
    ratio = np.asarray(jax.vmap(lambda t: family.process.sigma(t) / family.process.alpha(t))(times))
    return float(times[np.nanargmin(np.abs(np.log(ratio / (FRACTION * spread))))])
