"""`gm.lint`: what looks wrong in a model before it is sampled.

Two kinds of rules, one file each in `gmdsl.diagnose.lint_rules`. Some read the model: nodes that are declared and used
by nothing, arrays that change their rank unasked, captured state, discrete variables. Others evaluate it at a few
hundred points: starts, lines that lead far away, the edges of branches, in both precisions. Nothing is sampled; a
second or two on a small model.
"""

from collections.abc import Callable

from gmdsl.core.errors import SpecError
from gmdsl.diagnose.lint_rules.broadcasting import broadcasting
from gmdsl.diagnose.lint_rules.capture import capture
from gmdsl.diagnose.lint_rules.derivative import derivative
from gmdsl.diagnose.lint_rules.discrete import discrete
from gmdsl.diagnose.lint_rules.domains import domains
from gmdsl.diagnose.lint_rules.improper import improper
from gmdsl.diagnose.lint_rules.masked import masked
from gmdsl.diagnose.lint_rules.observations import observations
from gmdsl.diagnose.lint_rules.precision import precision
from gmdsl.diagnose.lint_rules.start import start
from gmdsl.diagnose.lint_rules.unused import unused
from gmdsl.diagnose.report import Finding, Report, report
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model

READ = (unused, broadcasting, capture, observations, discrete)
EVALUATED = (start, domains, masked, improper, derivative, precision)


def lint(model: Model) -> Report:
    """Looks for mistakes in a model that has not been sampled yet.

    Args:
        model: conditioned on what is observed.

    Returns:
        A report as `gm.check` gives it: `print` it, or read `.status` and `.findings`.

    Raises:
        SpecError: it is not a model.

    >>> import gmdsl as gm
    >>> ridge = gm.energy(lambda x: (x[0] - x[1]) ** 2, x=gm.Real(2))
    >>> print(gm.lint(ridge)["proper density"].evidence.split(" (")[0])
    it does not fall along +0.71 x[0] +0.71 x[1], -0.71 x[0] -0.71 x[1]
    """
    if not isinstance(model, Model):
        raise SpecError(f"lint(...): a model is needed, not {mistaken(model)}. Make one by gm.joint or gm.energy.")
    found = [_try_rule(rule, model) for rule in READ]
    ready = not model.inputs and model.free and found[-1].status == "ok"
    if ready:
        return report([*found, *(_try_rule(rule, model) for rule in EVALUATED)])
    why = "inputs are not bound" if model.inputs else "no free variable is a real number of its own"
    return report(
        [*found, Finding("evaluation", "note", f"not examined: {why}", "Bind, marginalise or observe first.")]
    )


def _try_rule(rule: Callable[[Model], Finding], model: Model) -> Finding:
    """The finding of a rule; a rule that fails on a model says so and stops nothing."""
    try:
        return rule(model)
    except Exception as error:
        text = str(error).split("\n")[0][:90]
        return Finding(getattr(rule, "__name__", "rule"), "note", f"not examined: {type(error).__name__}: {text}")
