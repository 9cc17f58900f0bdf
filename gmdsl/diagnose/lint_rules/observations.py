"""Is anything observed? A joint density without observations is the prior, and so are its draws."""

from gmdsl.diagnose.report import Finding
from gmdsl.models.model import Model

NAME = "observations"


def observations(model: Model) -> Finding:
    """The finding "observations"."""
    if model.observed:
        return Finding(NAME, "ok", f"observed: {', '.join(model.observed)}")
    if model.capabilities().normalized:
        advice = "If there are data, use model.condition(...). If not, gm.sample_prior draws exactly."
        return Finding(NAME, "note", "nothing is observed: draws are draws of the prior", advice)
    return Finding(NAME, "ok", "an unnormalised density")
