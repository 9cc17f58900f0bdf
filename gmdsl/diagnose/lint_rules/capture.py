"""What functions close over: arrays, modules and mutable objects, frozen as they were when the model was declared."""

import jax

from gmdsl.core.pytrees.function import Function, captured
from gmdsl.diagnose.report import Finding, listed
from gmdsl.graph.order import unique_names
from gmdsl.models.model import Model

NAME = "captured"


def capture(model: Model) -> Finding:
    """The finding "captured": what `gm.CaptureWarning` warned of, node by node."""
    found = []
    for factor, label in zip(model.factors, unique_names(model.factors), strict=True):
        leaves = jax.tree.leaves(factor, is_leaf=lambda node: isinstance(node, Function))
        held = [leaf for leaf in leaves if isinstance(leaf, Function)]
        names = [f"{name} ({kind})" for function in held for name, kind in captured(function.function)]
        found += [f"{label} closes over {listed(names)}"] if names else []
    if not found:
        return Finding(NAME, "ok", "no function closes over arrays or mutable objects")
    return Finding(NAME, "note", listed(found), "It is frozen as it was. Pass arrays by gm.data, modules by gm.given.")
