"""Free variables that a sampler of real numbers cannot move."""

from gmdsl.diagnose.report import Finding, listed
from gmdsl.models.model import Model

NAME = "discrete variables"


def discrete(model: Model) -> Finding:
    """The finding "discrete variables"."""
    found = [name for name in model.free if model.spaces[name].discrete]
    if not found:
        return Finding(NAME, "ok", "every free variable is a real number")
    evidence = f"{listed(found)}: samplers by gradients cannot move them"
    return Finding(NAME, "suspect", evidence, f"Sum them out, model.marginalize({found[0]!r}), or observe them.")
