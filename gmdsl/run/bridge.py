r"""Evidence from a finished run: a bridge between the draws of its chains and a Gaussian fitted to half of them.

In unconstrained coordinates a Gaussian q is fitted to the first half of every chain; the second half and as many draws
of q give $\log Z$ by Bennett's acceptance ratio. The draws of a chain count by their effective number.

Reference:
    Meng and Wong, *Simulating ratios of normalizing constants via a simple identity*, 1996; Gronau et al., *A tutorial
    on bridge sampling*, 2017, arXiv:1703.05984.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy import stats

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_target import over_points
from gmdsl.compiler.without_density import refuse_without_density
from gmdsl.core.errors import SpecError
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model
from gmdsl.results.bridge import OVERLAP, bridge, error_of_chains
from gmdsl.results.digest import model_digest
from gmdsl.results.estimate import LogZ
from gmdsl.results.reliability import LEAST, Verdict

ADVICE = "Draw more, check the run by gm.check, or walk a path: gm.log_z(path, gm.SMC(gm.HMC()))."
MIXED = 1.05  # R-hat of the log-density above which chains are in different places


def is_run(given: Any) -> bool:
    """Whether something is a tree of draws."""
    return hasattr(given, "children") and "posterior" in given.children


def bridge_of_run(tree: Any, model: Any, *, seed: int = 0) -> LogZ:
    """Log Z of a model from the draws of its chains.

    Args:
        tree: of `gm.sample(model, ...)`.
        model: the model that was sampled, conditioned as it was.
        seed: of the draws of the Gaussian.

    Raises:
        SpecError: the tree is of something else, or has weighted draws.
    """
    if not isinstance(model, Model):
        raise SpecError(f"log_z(tree, ...): the model that was sampled is needed second, not {mistaken(model)}.")
    refuse_without_density("log_z(...)", model)
    density = Density(model)
    x = _flat(tree, density)
    if tree.attrs.get("model_digest", digest := model_digest(model)) != digest:
        raise SpecError(
            "log_z(tree, model): the run was made of another model, or of other data. Pass the model that was sampled."
        )
    if any(density.spaces[name].discrete for name in density.free):
        raise SpecError(
            "log_z(tree, model): a variable is discrete. Sum it out, or walk a path with gm.SMC(gm.Gibbs())."
        )
    if "particles" in tree.children:
        raise SpecError("log_z(tree, model): the draws were weighted; log Z is tree.attrs['log_z'].")
    half = x.shape[1] // 2
    if half < 2 * x.shape[2] or half < 50:
        raise SpecError(
            f"log_z(tree, model): {x.shape[1]} draws per chain are too few. Take {4 * max(50, x.shape[2])}."
        )
    fitted, rest = x[:, :half].reshape(-1, x.shape[2]), x[:, half:]
    q = stats.multivariate_normal(fitted.mean(0), np.atleast_2d(np.cov(fitted.T)), allow_singular=True)
    count = rest.shape[0] * rest.shape[1]
    drawn = np.asarray(q.rvs(count, random_state=np.random.default_rng([seed, 2]))).reshape(count, -1)
    height = _heights(density, rest.reshape(count, -1))
    above = (height - q.logpdf(rest.reshape(count, -1))).reshape(rest.shape[:2])
    below = _heights(density, drawn) - q.logpdf(drawn)
    _, size = error_of_chains(above)
    found = bridge(np.ravel(below), above, min(1.0, size / count))
    error_above, size = error_of_chains(found.above)
    error = float(np.hypot(found.below.std() / np.sqrt(count), error_above))
    verdict = _judge(found, size, _r_hat(height.reshape(rest.shape[:2])), tree.attrs.get("bias"))
    return LogZ(found.log_ratio, error, size, {}, "bridge to a Gaussian", count, judged=verdict)


def _judge(found: Any, size: float, r_hat: float, bias: str | None) -> Verdict:
    evidence = f"{size:.0f} draws count, overlap {found.overlap:.2g}, R-hat of the log-density {r_hat:.3f}"
    if not np.isfinite(found.log_ratio) or found.overlap < OVERLAP:
        return Verdict("failed", f"{evidence}: the Gaussian and the draws have nothing in common", ADVICE)
    if bias:
        return Verdict("suspect", f"{evidence}; the draws are of another law: {bias}", ADVICE)
    if size < LEAST or r_hat > MIXED or found.overlap < 5 * OVERLAP:
        return Verdict("suspect", evidence, ADVICE)
    return Verdict("ok", f"{evidence}; modes that no chain has seen are not in it")


def _r_hat(values: np.ndarray) -> float:
    from arviz_stats.base import array_stats

    return float(array_stats.rhat(values, chain_axis=0, draw_axis=1)) if len(values) > 1 else float("nan")


def _flat(tree: Any, density: Density) -> np.ndarray:
    """Draws as flat unconstrained vectors, (chains, draws, dim)."""
    group = tree["unconstrained_posterior"] if "unconstrained_posterior" in tree.children else {}
    here = {str(name) for name in getattr(group, "data_vars", ())}
    if apart := sorted(here ^ set(density.free)):
        raise SpecError(
            f"log_z(tree, model): {apart[0]} is in one and not in the other. Pass a run of gm.sample by chains, and the"
            " model that was sampled."
        )
    parts = [np.asarray(group[s.name].values, float) for s in density.target.slots]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)


def _heights(density: Density, x: np.ndarray) -> np.ndarray:
    points = jnp.asarray(x, jnp.zeros(0).dtype)
    return np.asarray(over_points(_height, density.target, points), float)


def _height(target: Any, x: Any) -> Any:
    return target.log_density(x)
