"""Does a step keep the target's law? Chains that start at exact draws must have it at every step, exactly."""

from gmdsl.diagnose.certificates.certificate import FAILED, NOT_EXAMINED, PASSED, Row
from gmdsl.diagnose.certificates.statistics import against_law, limit, smallest
from gmdsl.diagnose.certificates.trials import Trials

NAME = "keeps the law"


def invariance(trials: Trials) -> Row:
    """Means of test functions along stationary chains against their exact expectations, on all targets."""
    if trials.sampler.bias:
        return Row(NAME, NOT_EXAMINED, "a bias is declared; see the bias")
    laws = [trial.law for trial in trials.each]
    found = [against_law(trial.means(trial.stationary), trial.law) for trial in trials.each]
    tests = sum(len(comparison.names) for comparison in found)
    worst = max(range(len(found)), key=lambda i: found[i].z.max())
    passed = found[worst].z.max() <= limit(tests)
    where = f"on ({trials.each[worst].name})"
    size = f"{trials.size.chains} chains of {trials.size.steps} steps"
    evidence = f"worst of {tests} over {size}: {found[worst].describe()} {where}; limit {limit(tests):.1f} s.e."
    return Row(NAME, PASSED if passed else FAILED, evidence, smallest(found, laws))
