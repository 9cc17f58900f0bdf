"""Elements that are masked and have no density: nothing of them is sampled, and nothing can be examined."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from gmdsl.compiler.density import Density
from gmdsl.diagnose.report import Finding, listed
from gmdsl.models.model import Model

NAME = "masked elements"
ADVICE = "The density has no integral: log_z and log_normalizer refuse it. Give a variable to missing elements alone."


def masked(model: Model) -> Finding:
    """The finding "masked elements" of a model."""
    density = Density(model)
    shapes = {s.name: s.space.free_shape for s in density.target.slots}
    return masked_elements(density.gone_elements, shapes, model.deterministic)


def masked_elements(
    gone: Mapping[str, Sequence[int]], shapes: Mapping[str, tuple[int, ...]], computed: Collection[str]
) -> Finding:
    """The finding "masked elements".

    Args:
        gone: places of the elements of each variable that have no density.
        shapes: shapes of the variables.
        computed: names of deterministic variables, among which may be one of observed and imputed values together.
    """
    names = []
    for name, places in gone.items():
        for place in places:
            index = [int(i) for i in np.unravel_index(place, shapes[name])]
            names.append(name + (str(index) if index else ""))
    if not names:
        return Finding(NAME, "ok", "every element has a density")
    wholes = [whole for name in gone if (whole := name.removesuffix("_unobserved")) != name]
    imputed = "".join(f"; the imputed values are in `{whole}`" for whole in wholes if whole in computed)
    return Finding(NAME, "note", f"{listed(names)}: masked, no density; not examined{imputed}", ADVICE)
