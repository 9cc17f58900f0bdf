r"""Thermodynamic integration: log Z as an integral over the inverse temperature, from draws on the rungs of a path.

With $U = \partial g / \partial\beta$, on the geometric path the log-ratio $\log p - \log q$,

$$\log \frac{Z_1}{Z_0} = \int_0^1 E_\beta[U]\, d\beta, \qquad
\frac{d}{d\beta} E_\beta[U] = \mathrm{Var}_\beta(U) + E_\beta[\partial U / \partial\beta].$$

The slope is known at the ends of every step, so that the trapezoid of width h is corrected by
$-\frac{h^2}{12}(E'_{after} - E'_{before})$, which makes it exact for cubic curves. What the correction changes is
counted as the error of the finite steps.

References:
    Friel and Pettitt, *Marginal likelihood estimation via power posteriors*, JRSS B 70, 2008; Friel, Hurn, Wyse,
    *Improving power posterior estimation of statistical evidence*, Statistics and Computing 24, 2014.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gmdsl.results.bridge import error_of_chains
from gmdsl.results.estimate import LogZ
from gmdsl.results.reliability import LEAST, Verdict

COARSE = 1.0  # nats that the correction changes, from which on steps are too long for any correction


class Integral(NamedTuple):
    """An integral over the rungs.

    Attributes:
        curve: the corrected integral from 0 to each beta.
        plain: the trapezoid over all of them.
        mean: of U at each beta.
        slope: of the mean at each beta.
    """

    curve: Float[np.ndarray, " rungs"]
    plain: float
    mean: Float[np.ndarray, " rungs"]
    slope: Float[np.ndarray, " rungs"]


def integral(betas: Float[np.ndarray, " rungs"], mean: Any, slope: Any) -> Integral:
    """The trapezoid with its correction by slopes.

    >>> import numpy as np
    >>> betas = np.array([0.0, 0.3, 1.0])
    >>> found = integral(betas, betas**3, 3.0 * betas**2)
    >>> round(float(found.curve[-1]), 12), round(found.plain, 2)
    (0.25, 0.36)
    """
    mean, slope, width = np.asarray(mean, float), np.asarray(slope, float), np.diff(betas)
    plain = 0.5 * width * (mean[1:] + mean[:-1])
    corrected = plain - width**2 / 12.0 * np.diff(slope)
    return Integral(np.append(0.0, np.cumsum(corrected)), float(plain.sum()), mean, slope)


def thermodynamic(betas: Any, ratio: Any, between: Any, method: str, copies: Verdict | None = None) -> LogZ:
    """Log Z of the target less that of the reference.

    Args:
        betas: the ladder, from 0 to 1.
        ratio: log p - log q of each draw on each rung, (chains, draws, rungs).
        between: the densities of the path (`gmdsl.inference.interpolation.Interpolation`).
        method: what made it.
        copies: what is known of how copies travelled; a doubt there is one here.
    """
    betas, ratio = np.asarray(betas, float), np.asarray(ratio, float)
    force, bend = _derivatives(betas, ratio, between)
    size = ratio.shape[0] * ratio.shape[1]
    if not np.isfinite(force).all():
        told = "the target has no density at some draws: the mean of log p - log q is not finite"
        failed = Verdict("failed", told, "Take a reference inside of the target's support, or gm.SMC.")
        return LogZ(np.nan, np.inf, 0.0, {"betas": betas}, method, size, judged=failed)
    mean = force.mean(axis=(0, 1))
    around = (force - mean) ** 2
    found = integral(betas, mean, around.mean(axis=(0, 1)) + bend.mean(axis=(0, 1)))
    width = np.concatenate([[0.0], np.diff(betas), [0.0]])
    by_mean, by_slope = 0.5 * (width[1:] + width[:-1]), (width[1:] ** 2 - width[:-1] ** 2) / 12.0
    series = force @ by_mean + (around + bend) @ by_slope  # whose mean is the estimate
    within, worth = error_of_chains(series)
    among = series.mean(axis=1).std(ddof=1) / np.sqrt(len(series)) if len(series) > 1 else 0.0
    coarse = abs(found.curve[-1] - found.plain)
    curve = {"betas": betas, "log_z": found.curve, "mean": found.mean, "slope": found.slope}
    error = float(np.hypot(max(within, among), coarse))
    verdict = _judge(max(within, among), coarse, worth, copies)
    return LogZ(float(found.curve[-1]), error, worth, curve, method, size, judged=verdict)


def _derivatives(betas: np.ndarray, ratio: np.ndarray, between: Any) -> tuple[np.ndarray, np.ndarray]:
    """The first and second derivative in beta of the log-density of each draw, at its rung."""

    def first(r: Any, beta: Any) -> Any:
        return jax.jvp(lambda b: between.log_weight(r, b), (beta,), (jnp.ones_like(beta),))[1]

    def second(r: Any, beta: Any) -> Any:
        return jax.jvp(lambda b: first(r, b), (beta,), (jnp.ones_like(beta),))[1]

    r, beta = jnp.asarray(ratio), jnp.broadcast_to(jnp.asarray(betas), ratio.shape)
    return np.asarray(first(r, beta), float), np.asarray(second(r, beta), float)


def _judge(sampling: float, coarse: float, worth: float, copies: Verdict | None) -> Verdict:
    evidence = f"{worth:.0f} draws count; errors: {sampling:.2g} of draws, {coarse:.2g} of steps in beta"
    if copies is not None and copies.status != "ok":
        return Verdict(copies.status, f"{evidence}; {copies.evidence}", copies.advice)
    if coarse > COARSE:
        return Verdict("suspect", evidence, "The curve is too steep for its rungs. Take more temperatures.")
    if worth < LEAST:
        return Verdict("suspect", evidence, "Take more draws.")
    return Verdict("ok", evidence)
