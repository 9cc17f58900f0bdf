"""What ArviZ's own `diagnose` says of a run: divergences, tree depth, E-BFMI, effective sizes, R-hat.

It is repeated here as a note, beside the findings that look at the same numbers with the chance of a false alarm in
mind (R-hat above 1.01 alone is common in clean short runs).
"""

from typing import Any

import numpy as np

from gmdsl.diagnose.packed import packed
from gmdsl.diagnose.report import Finding


def by_arviz(tree: Any) -> Finding:
    """The complaints of `arviz_stats.diagnose`, by its names."""
    import arviz_stats

    try:
        with np.errstate(all="ignore"):  # constant elements, as of a Cholesky factor, have no R-hat
            _, told = arviz_stats.diagnose(_packed(tree), show_diagnostics=False, return_diagnostics=True)
    except (KeyError, TypeError, ValueError) as error:
        return Finding("ArviZ", "note", f"not examined: its diagnose cannot read this tree ({error!r})")
    complaints = [
        *(["divergent"] if told.get("divergent", {}).get("n_divergent") else []),
        *(["treedepth"] if told.get("treedepth", {}).get("n_max") else []),
        *(["bfmi"] if told.get("bfmi", {}).get("failed_chains") else []),
        *(name for name in ("ess", "rhat") if told.get(name, {}).get("bad_params")),
    ]
    if not complaints:
        return Finding("ArviZ", "ok", "its diagnose has no complaint")
    return Finding(
        "ArviZ", "note", f"its diagnose complains of {', '.join(complaints)}", "See the findings of that name."
    )


def _packed(tree: Any) -> Any:
    """The tree with few arrays in place of many variables; the complaints are of any element of any of them."""
    together, where = packed(tree["posterior"].to_dataset())
    if all(place is None for _, place in where.values()):
        return tree
    groups = {name: tree[name].to_dataset() for name in tree.children if name == "sample_stats"}
    return type(tree).from_dict({"posterior": together, **groups})
