"""Reading a case and judging draws against its truth.

A truth is (mean, sd, error of the mean, error of the sd) per scalar quantity; the errors are zero
where the truth was computed in closed form or by quadrature.
"""

import json
import math
import pathlib
import statistics
from typing import NamedTuple

import arviz as az
import numpy as np

DATA = pathlib.Path(__file__).parent / "data"
FALSE_ALARM = 1e-4  # chance that the largest |z| of a correct sampler exceeds its limit
RMS_LIMIT = 1.6
LEAST_ESS = 4000  # with it a bias of 0.1 sd is 6.3 standard errors
MOST_RHAT = 1.01


class Case(NamedTuple):
    """One folder of `data/`: the fields of case.json, and the arrays of arrays.npz."""

    meta: dict
    arrays: dict

    @property
    def truth(self):
        return {name: tuple(numbers) for name, numbers in self.meta["truth"].items()}


class Score(NamedTuple):
    """What `score_moments` found.

    Attributes:
        passed: whether all rules hold and every quantity of the truth was drawn.
        worst: the name of the largest |z| and its value.
        rms: the root mean square of all z.
        limit: what |z| must stay below.
        ess: the least effective sample size of a mean.
        rhat: the largest R-hat (ranks, and folded ranks).
        z: every z by name; "... (scale)" is that of the squared deviation.
    """

    passed: bool
    worst: tuple
    rms: float
    limit: float
    ess: float
    rhat: float
    z: dict


def load(family, name):
    """The case `data/family/name`."""
    folder = DATA / family / name
    meta = json.loads((folder / "case.json").read_text())
    if not (folder / "arrays.npz").exists():
        return Case(meta, {})
    with np.load(folder / "arrays.npz") as arrays:
        return Case(meta, dict(arrays))


def threshold(count):
    """The |z| that the largest of `count` standard normals exceeds with probability at most 1e-4.

    By Bonferroni, so that it holds under any correlation: 4.1 for two numbers, 4.6 for twenty.
    """
    return statistics.NormalDist().inv_cdf(1.0 - FALSE_ALARM / (2 * count))


def score_moments(truth, draws, least_ess=LEAST_ESS, most_rhat=MOST_RHAT):
    """Compares the mean and the mean squared deviation of every quantity with its truth.

    With m and s the true mean and sd, each quantity gives two z-scores: that of mean(x) - m, and that
    of mean((x - m)^2) - s^2. Squares are taken about the true mean, so the second is a test of scale
    that a bias cannot hide. Standard errors are sd / sqrt(ESS) with ArviZ's ESS for means, of x and of
    (x - m)^2 each, joined with the errors of the truth.

    Passing needs three things. The largest |z| is below `threshold`: a correct sampler fails this with
    probability 1e-4 per case. The root mean square of all z is below 1.6, which sees many small
    biases that agree; this rule is sharper than the first and has no such guarantee (six independent
    numbers exceed it by chance in 2 % of seeds), so tests keep their seeds. And the chains mix: every
    mean has an effective sample size of at least `least_ess` and every R-hat is below 1.01; without
    this a stuck chain passes, as the standard errors become huge.

    Args:
        truth: name -> (mean, sd, error of the mean, error of the sd).
        draws: name -> array of shape (chain, draw).
        least_ess: effective sample size that every mean needs.
        most_rhat: what every R-hat must stay below.
    """
    missing = [name for name in truth if name not in draws]
    z, ess, rhat = {}, math.inf, 0.0
    for name, (mean, sd, mean_error, sd_error) in truth.items():
        if name in missing:
            continue
        x = np.asarray(draws[name], np.float64)
        z[name], size = _z(x, mean, mean_error)
        z[f"{name} (scale)"], _ = _z((x - mean) ** 2, sd**2 + mean_error**2, 2.0 * sd * sd_error)
        ess = min(ess, size)
        rhat = max(rhat, _rhat(x))
    limit = threshold(max(len(z), 1))
    worst = max(z.items(), key=lambda item: abs(item[1]), default=("nothing", math.inf))
    rms = math.sqrt(np.mean(np.square(list(z.values())))) if z else math.inf
    close = abs(worst[1]) < limit and rms < RMS_LIMIT
    passed = close and bool(z) and not missing and ess >= least_ess and rhat < most_rhat
    return Score(passed, worst, rms, limit, ess, rhat, z)


def quantities(posterior, truth):
    """Draws of scalar quantities, (chain, draw), under the names of the truth: "theta[1]" is the first of theta."""
    found = {}
    for name in truth:
        variable, _, index = name.rstrip("]").partition("[")
        if variable not in posterior:
            continue
        values = posterior[variable].transpose("chain", "draw", ...).values
        found[name] = values[..., int(index) - 1] if index else values
    return found


def _z(x, mean, error):
    """z-score of the mean of x (chain, draw), and its effective sample size; NaN counts as infinitely far."""
    if not np.isfinite(x).all() or x.std() == 0.0:
        return math.inf, 0.0
    size = float(az.ess(x, method="mean"))
    return float((x.mean() - mean) / math.sqrt(x.var() / size + error**2)), size


def _rhat(x):
    """R-hat of x (chain, draw); NaN and constants count as infinite."""
    if not np.isfinite(x).all() or np.ptp(x) == 0.0:
        return math.inf
    return float(az.rhat(x))
