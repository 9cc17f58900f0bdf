"""Does the chain forget where it started? Half of the chains start far out in the tail, half near the mean.

A kernel that keeps the law can still never reach it: a trajectory of half a period returns every draw to its mirror
image. After some blocks both groups must have the law of the target (or, with a declared bias, one law). The far start
is the least likely of a thousand exact draws: standard deviations would not do, because a tail may be so light that
three of them are never seen.
"""

import numpy as np

from gmdsl.diagnose.certificates.certificate import FAILED, PASSED, Row
from gmdsl.diagnose.certificates.statistics import Comparison, Law, against_law, between, limit
from gmdsl.diagnose.certificates.trials import Trial, Trials

NAME = "forgets its start"
RARE = 1000  # exact draws, the least likely of which is the far start


def convergence(trials: Trials) -> Row:
    """Steps until both groups have the law, on each target; failed where that does not happen."""
    longest = 0
    for trial in trials.each:
        steps, last = _count_steps(trial)
        if steps is None:
            most = trials.size.blocks * trials.size.steps
            return Row(NAME, FAILED, f"after {most} steps: {last.describe()} on ({trial.name})")
        longest = max(longest, steps)
    return Row(NAME, PASSED, f"within {longest} steps, from the least likely of {RARE} draws and from near the mean")


def middle(draws: np.ndarray, law: Law) -> np.ndarray:
    """The draw nearest to the mean: the mean itself may be no value of a discrete variable."""
    return draws[np.argmin((law.standard(draws) ** 2).sum(-1))]


def _count_steps(trial: Trial) -> tuple[int | None, Comparison]:
    """Steps until the groups are where they should be, and the last comparison."""
    law, size = trial.law, trial.size
    half = size.chains // 2
    draws = trial.draws(4, RARE)
    x = np.tile(middle(draws, law), (size.chains, 1))
    x[:half] = draws[np.argmin(trial.log_density(draws))]
    blocks = trial.run(x.astype(trial.dtype), 2)
    for block in range(1, size.blocks + 1):
        means = trial.means(next(blocks))
        groups = (means[:half], means[half:])
        found = [between(*groups, law.names)] if trial.sampler.bias else [against_law(g, law) for g in groups]
        worst = max(found, key=lambda comparison: comparison.z.max())
        if worst.z.max() <= limit(len(found) * len(law.names)):
            return block * size.steps, worst
    return None, worst
