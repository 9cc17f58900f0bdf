"""The tree of draws that are independent or weighted: one chain, resampled to equal weight, the weighted ones beside.

Weighted draws are in the group `particles`, so that nobody reads them as equal ones; `posterior` holds as many draws of
equal weight. The attributes are those of every tree, and what the weights say: log Z, its error, their effective size.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.inference.weights import resampled
from gmdsl.models.model import Model
from gmdsl.results.estimate import LogZ
from gmdsl.results.tree import as_tree, attributes, constants


@dataclass(frozen=True)
class WeightedDraws:
    """What a generator or a path sampler leaves behind.

    Attributes:
        values: draws by name, with one chain as the first axis.
        stats: by name, likewise.
        log_z: what the weights say; None where draws carry none.
        resamples: whether the draws in `posterior` are resampled by the weights.
        found: other arrays, for the group `approximation`.
        attributes: who made the draws and how.
    """

    values: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    log_z: LogZ | None
    resamples: bool = True
    found: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


def weighted_tree(model: Any, drawn: WeightedDraws, seed: int) -> Any:
    """The tree of such draws.

    Args:
        model: names the axes; its data and observations are kept where it is a model.
        drawn: the draws.
        seed: of the run, for resampling.

    Raises:
        SpecError: no draw has any weight.
    """
    attrs = {**attributes(), **drawn.attributes, "seed": seed}
    groups: dict[str, Any] = {"posterior": drawn.values, "sample_stats": drawn.stats}
    if (z := drawn.log_z) is not None:
        if not np.isfinite(z.log_z):
            raise SpecError(
                f"sample(..., {attrs['sampler']}(...)): no draw has any weight. Take a reference that covers the"
                " target, or train longer."
            )
        attrs |= {"log_z": z.log_z, "log_z_standard_error": z.standard_error, "log_z_status": z.status}
        attrs |= {"weight_ess": z.ess}
        attrs |= {"weights_outgrown": z.outgrown} if z.outgrown else {}
        attrs |= {"weights_doubt": z.doubt} if z.doubt else {}
        attrs |= {"log_z_judged": json.dumps(dataclasses.astuple(z.judged))} if z.judged else {}
        dtype = next(iter(drawn.values.values())).dtype
        groups["particles"] = {
            **drawn.values,
            "log_weight": z.log_weight[None].astype(np.result_type(dtype, np.float32)),
        }
        if drawn.resamples:
            chosen = resampled(z.log_weight, seed)
            groups |= {g: {n: v[:, chosen] for n, v in groups[g].items()} for g in ("posterior", "sample_stats")}
    groups["approximation"] = drawn.found
    return as_tree(model, {**groups, **(constants(model) if isinstance(model, Model) else {})}, attrs)
