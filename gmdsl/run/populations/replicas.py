"""The tree of a run on several rungs: how copies travelled, and log Z, beside the draws at the target."""

from typing import Any

import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.inference.path import Path
from gmdsl.results.estimate import LogZ
from gmdsl.results.exchange import Exchange, exchange
from gmdsl.results.thermodynamic import thermodynamic

LEAST = 4  # draws that say something of errors
NEEDED = ("log_ratio", "swap_rate", "round_trips")


def exchange_of(path: Path, sampler: Any, tree: Any) -> Exchange | None:
    """What the stats of a run on the rungs of a path say; None where its sampler reports something else."""
    stats = tree["sample_stats"] if "sample_stats" in tree.children else {}
    if any(name not in stats for name in NEEDED) or stats["log_ratio"].shape[1] < LEAST:
        return None
    tuned = tree["tuned"] if "tuned" in tree.children else {}
    betas = tuned["ladder"].values if "ladder" in tuned else np.asarray(sampler.betas)
    names = [*NEEDED, *(name for name in ("acceptance_rate",) if name in stats)]
    return exchange(betas, {name: stats[name].values for name in names}, path.interpolation, repr(sampler))


def integral_of(path: Path, sampler: Any, tree: Any, method: str) -> LogZ:
    """Log Z by thermodynamic integration over the rungs of a run.

    Raises:
        SpecError: there are too few draws.
    """
    travelled = exchange_of(path, sampler, tree)
    if travelled is None:
        raise SpecError(f"log_z(..., draws=...): thermodynamic integration needs at least {LEAST} draws of each chain.")
    ratio = tree["sample_stats"]["log_ratio"].values
    return thermodynamic(sampler.betas, ratio, path.interpolation, method, travelled.log_z.verdict)


def with_exchange(path: Path, sampler: Any, tree: Any) -> Any:
    """The tree with the group `tempering` and the attributes of log Z."""
    from xarray import Dataset, DataTree

    found = exchange_of(path, sampler, tree)
    if found is None:
        return tree
    axes = {"betas": "rung", "swap_rate": "pair", "barrier": "rung", "log_z": "rung", "round_trips": None}
    group = {
        name: (("chain", axes[name]) if axes[name] else ("chain",), values) for name, values in found.group().items()
    }
    tree["tempering"] = DataTree(Dataset(group, coords={"chain": tree["posterior"].chain.values}))
    z = found.log_z
    noted = {"log_z": z.log_z, "log_z_standard_error": z.standard_error, "log_z_status": z.status,
             "round_trips": int(found.round_trips.sum()), "barrier": float(found.barrier[:, -1].mean())}  # fmt: skip
    noted |= {"reference_k": found.reference_k} if np.isfinite(found.reference_k) else {}
    for node in (tree, tree["posterior"]):
        node.attrs.update(noted)
    return tree
