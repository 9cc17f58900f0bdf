r"""Is it one kernel? Along a stationary chain the law of a move, $(x_t, x_{t+1})$, is the same at every $t$.

A sampler that goes on tuning itself in its state breaks that, and with it the theorem that the draws rest on. A cycle
of moves keeps it, because halves of a block hold whole cycles.
"""

import numpy as np

from gmdsl.diagnose.certificates.certificate import FAILED, PASSED, Row
from gmdsl.diagnose.certificates.statistics import Comparison, limit, seen
from gmdsl.diagnose.certificates.trials import Trial, Trials

NAME = "one kernel"


def constancy(trials: Trials) -> Row:
    """The mean length of moves in the first half of a block against that in the second, in the same chains."""
    found = [_halves(trial) for trial in trials.each]
    tests = sum(len(comparison.names) for comparison in found)
    worst = max(range(len(found)), key=lambda i: found[i].z.max())
    passed = found[worst].z.max() <= limit(tests)
    evidence = f"early and late moves: {found[worst].describe()} on ({trials.each[worst].name})"
    error = max(float(comparison.standard_error.max()) for comparison in found)
    sees = f"moves that change by {100 * seen(error, tests):.2g} % of their length, with power 0.9"
    return Row(NAME, PASSED if passed else FAILED, evidence, sees)


def _halves(trial: Trial) -> Comparison:
    """Relative differences of the mean length of moves in each coordinate."""
    population = trial.stationary
    path = np.concatenate([population.start[:, None], population.position], axis=1).astype(float)
    path = np.where(np.isfinite(path), path, np.nan)  # a difference of infinities would warn
    moves = np.abs(np.diff(path, axis=1))
    half = moves.shape[1] // 2
    change = moves[:, half:].mean(1) - moves[:, :half].mean(1)
    length = np.maximum(moves.mean((0, 1)), 1e-300)
    names = [f"length of moves of x[{i}]" for i in range(moves.shape[-1])]
    error = change.std(0, ddof=1) / np.sqrt(len(change)) / length
    return Comparison(names, change.mean(0) / length, error)
