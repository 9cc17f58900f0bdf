"""Does the sampler work in single and in double precision, and sample one law in both?"""

import jax

from gmdsl.diagnose.certificates.certificate import FAILED, PASSED, Row
from gmdsl.diagnose.certificates.statistics import between, limit, smallest
from gmdsl.diagnose.certificates.trials import Trial, Trials

NAME = "float32 = float64"


def precision(trials: Trials) -> Row:
    """Chains from exact draws in both precisions, with the settings tuned in the present one."""
    settings, found = Trial(trials.sampler, trials.each[0].model, trials.size, trials.seed).arrays, []
    law = None
    for seed, double in ((trials.seed + 1, False), (trials.seed + 2, True)):
        with jax.enable_x64(double):
            trial = Trial(trials.sampler, trials.each[0].model, trials.size, seed, _cast(settings, double))
            population = trial.stationary
            if population.position.dtype != trial.dtype:
                evidence = f"positions come back as {population.position.dtype} where {trial.dtype} went in"
                return Row(NAME, FAILED, evidence)
            law = law or trial.law
            found.append(law.functions(population.position, trial.log_density(population.position)).mean(1))
    comparison = between(*found, law.names)
    passed = comparison.z.max() <= limit(len(law.names))
    return Row(NAME, PASSED if passed else FAILED, f"worst: {comparison.describe()}", smallest([comparison], [law]))


def _cast(settings: tuple, double: bool) -> tuple:
    """Settings in a precision; whole numbers and flags as they are."""
    kind = "float64" if double else "float32"
    return tuple(leaf.astype(kind) if leaf.dtype.kind == "f" else leaf for leaf in settings)
