r"""Does a declared bias shrink with the step? At twice the step a first-order bias is twice as large.

The step is doubled until the difference from the target's law is clear, and compared with half of it. A wrong drift
or a wrong scale of the noise does not shrink.

Reference:
    Talay and Tubaro, *Expansion of the global error for numerical schemes solving stochastic differential
    equations*, 1990.
"""

from typing import Any

import numpy as np

from gmdsl.diagnose.certificates.certificate import FAILED, NOT_EXAMINED, PASSED, Row
from gmdsl.diagnose.certificates.statistics import Comparison, against_law
from gmdsl.diagnose.certificates.trials import Trial, Trials

NAME = "bias as declared"
CLEAR = 24.0  # standard errors: then a ratio of 1/2 and one of 1 are each 4.8 s.e. from the border 3/4
SHRINKS = 0.75
DOUBLINGS = 10
BURN, KEPT = 6, 4  # blocks


def bias(trials: Trials) -> Row:
    """The error of the law at some step and at half of it."""
    if not trials.sampler.bias:
        return Row(NAME, NOT_EXAMINED, "no bias is declared: the law must be exact")
    trial = Trial(trials.sampler, trials.each[-1].model, trials.size, trials.seed)
    where = _step_size(trial)
    if where is None:
        return Row(NAME, NOT_EXAMINED, "there is no field step_size to halve")
    step = float(trial.arrays[where])
    size, error = step, _error(trial, step)
    while error.z.max() < CLEAR and size < step * 2**DOUBLINGS:
        size, error = 2 * size, _error(trial, 2 * size)
    at = error.worst
    if not np.isfinite(error.error).all():
        return Row(NAME, NOT_EXAMINED, f"it diverges at a step of {size:.3g} before a bias can be told")
    if error.z[at] < CLEAR:
        return Row(NAME, PASSED, f"none to be told up to a step of {size:.3g}: {error.describe()}")
    half = _error(trial, size / 2)
    ratio = abs(float(half.error[at] / error.error[at]))
    evidence = (
        f"{error.names[at]} off by {error.error[at]:+.2g} at a step of {size:.3g}, by {half.error[at]:+.2g} at half of"
        f" it: ratio {ratio:.2f}"
    )
    return Row(NAME, PASSED if ratio < SHRINKS else FAILED, evidence, f"a bias that shrinks to more than {SHRINKS}")


def _error(trial: Trial, step: float) -> Comparison:
    """The law of settled chains with this step against the target's."""
    settings = list(trial.arrays)
    settings[_step_size(trial)] = np.full_like(settings[_step_size(trial)], step)
    blocks = trial.run(trial.draws(3, trial.size.chains), 3, tuple(settings))
    for _ in range(BURN):
        next(blocks)
    means = np.mean([trial.means(next(blocks)) for _ in range(KEPT)], axis=0)
    return against_law(means, trial.law)


def _step_size(trial: Trial) -> Any:
    """Which of the arrays of the settings is the step; None where there is none."""
    numbers: Any = tuple(np.arange(len(trial.arrays)))
    return getattr(trial.kernel.started.fill(numbers), "step_size", None)
