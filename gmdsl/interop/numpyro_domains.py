"""Parameters of the sites of a NumPyro model that may leave their domain, such as a probability above one.

NumPyro looks at concrete parameters only: in a compiled density it evaluates its formulas for a probability of 1.3. As
in `gm.joint`, such points have no density here, and what is outside whatever the values are is refused.
"""

from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.distributions.domain import in_domain, parameters
from gmdsl.graph.factor_graph import Abstract
from gmdsl.interop.numpyro_program import NumPyroProgram
from gmdsl.interop.numpyro_sites import Sites, same
from gmdsl.interop.numpyro_trace import is_in_control_flow
from gmdsl.models.probe.domains import unproved
from gmdsl.spaces.space import Space


def refuse_outside(where: str, sites: Sites) -> None:
    """Refuses parameters that are outside of their constraint and do not change, or are no probabilities at all.

    Raises:
        SpecError: names the site, the parameter and the constraint.
    """
    for name, site in sites.found.items():
        if site["type"] != "sample" or is_in_control_flow(site):
            continue
        laws = site["fn"], sites.other[name]["fn"]
        pairs = zip(*(list(parameters(law)) for law in laws), strict=False)
        for (parameter, constraint, value), (_, _, other) in pairs:
            outside = [not np.all(in_domain(law, (parameter,))) for law in laws]
            kind = type(constraint).__name__.lstrip("_").lower()
            if all(outside) and (same(value, other) or kind == "simplex"):
                shown = np.array2string(np.asarray(value), precision=3, threshold=4)
                fix = "Divide by the sum, or give logits." if kind == "simplex" else "Map or bound it."
                raise SpecError(f"{where}: {parameter} of {name} is {shown}, outside of its constraint ({kind}). {fix}")


def guards(program: NumPyroProgram, shapes: Abstract, spaces: dict[str, Space]) -> tuple[str, ...]:
    """The parameters that some values of the free sites, or new data, may put outside of their constraint.

    Args:
        program: the model as a factor.
        shapes: of the data and of all variables.
        spaces: of the free variables.
    """
    return unproved(_Laws(program, tuple(shapes)), shapes, spaces, {})


class _Laws:
    """A call that makes the laws of all sites, as parts of one."""

    def __init__(self, program: NumPyroProgram, variables: tuple[str, ...]):
        self.program, self.variables = program, variables

    def __call__(self, values: dict[str, Any]) -> Any:
        found = self.program.traced.run(values, self.program.known(values))
        return _Several([s["fn"] for s in found.values() if s["type"] == "sample" and not is_in_control_flow(s)])


class _Several:
    def __init__(self, laws: list[Any]):
        self.laws = laws
