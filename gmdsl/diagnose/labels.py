"""What the model tells of the discrete variables of a run, as `gm.check` needs it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.diagnose.checks.conditionals import NAME, certain, conditionals, judged
from gmdsl.diagnose.positions import positions
from gmdsl.diagnose.probed import probed
from gmdsl.diagnose.report import Finding
from gmdsl.inference.path import Path
from gmdsl.models.model import Model


@dataclass(frozen=True)
class Labels:
    """The discrete variables of a run against the model.

    Attributes:
        finding: "full conditionals"; None where there is no discrete variable.
        certain: whether the model lets an element keep one value in a chain, by variable, (chain, element).
    """

    finding: Finding | None = None
    certain: dict[str, np.ndarray] = field(default_factory=dict)


def labels_of(tree: Any, model: Any) -> Labels:
    """What full conditionals tell of the labels; nothing where no model is given, or all of it is continuous.

    Raises:
        SpecError: the tree has other variables than the model.
    """
    model = model.target if isinstance(model, Path) else model
    if not isinstance(model, Model) or {"particles", "approximation"} & set(tree.children):
        return Labels()
    density = Density(model)
    discrete = [name for name in density.free if density.spaces[name].discrete]
    if not discrete or any(name not in tree["posterior"] for name in discrete):
        return Labels()
    held: list[Labels] = []

    def look() -> Finding:
        found = conditionals(density, positions(tree, density))
        if found is None:
            return Finding(NAME, "note", "not examined: a label has too many values, or the log-density is not finite")
        held.append(Labels(certain=_by_variable(density, found)))
        return judged(found, density)

    finding = probed(NAME, look)
    return Labels(finding, held[0].certain if held else {})


def _by_variable(density: Density, found: Any) -> dict[str, np.ndarray]:
    """Which elements may stand still, for each discrete variable; False for those that were not looked at."""
    allowed = certain(found)
    whole = np.zeros((len(allowed), density.dim), bool)
    whole[:, found.entries] = allowed
    slots = [slot for slot in density.target.slots if slot.space.discrete]
    return {slot.name: whole[:, slot.start : slot.stop] for slot in slots}
