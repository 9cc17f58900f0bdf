"""Are positions and statistics what ArviZ and `gm.check` take them for? `lp` must belong to the position."""

import numpy as np

from gmdsl.diagnose.certificates.certificate import FAILED, PASSED, Row
from gmdsl.diagnose.certificates.trials import Trial, Trials

NAME = "schema"


def schema(trials: Trials) -> Row:
    """Ranges of the statistics (the driver refuses wrong types), and `lp` against the log-density at the positions."""
    for trial in trials.each:
        fault = _fault(trial)
        if fault:
            return Row(NAME, FAILED, f"{fault} on ({trial.name})")
    stats = trials.each[0].stationary.stats
    lp = "; lp is the log-density at the position" if "lp" in stats else ""
    return Row(NAME, PASSED, f"{', '.join(sorted(stats)) or 'no statistics'}{lp}")


def _fault(trial: Trial) -> str:
    population = trial.stationary
    stats = population.stats
    broken = ~np.isfinite(population.position).all(-1)
    if broken.any():
        return f"{100 * broken.mean():.3g} % of the positions are not finite"
    rate = stats.get("acceptance_rate")
    if rate is not None and not ((rate >= 0) & (rate <= 1 + 1e-6)).all():
        return f"acceptance_rate runs from {rate.min():.3g} to {rate.max():.3g}"
    steps = stats.get("n_steps")
    if steps is not None and not (steps >= 1).all():
        return f"n_steps runs from {steps.min()} on; at least 1 is meant"
    if "lp" in stats:
        off = np.abs(stats["lp"] - trial.log_density(population.position)) / (1.0 + np.abs(stats["lp"]))
        close = 1e-8 if trial.dtype == np.float64 else 1e-3
        if not (off <= close).all():
            wrong = 100 * np.mean(~(off <= close))
            return f"lp is not the log-density at the position in {wrong:.3g} % of the steps"
    return ""
