"""Pointwise scores of observations with gaps: only what was observed is kept.

A term of zero for each gap would leave sums right and everything that counts data wrong.
"""

import dataclasses
from typing import Any

import numpy as np

from gmdsl.models.model import Model

type Arrays = dict[str, np.ndarray]


def without_gaps(model: Model, scores: Arrays) -> tuple[Model, Arrays, dict[str, Any]]:
    """The scores of observed elements, along one dimension each.

    Args:
        model: the conditioned model.
        scores: log-likelihoods by name, (chain, draw, ...).

    Returns:
        The model with the dimensions of the scores, the scores, and coordinates of the elements.
    """
    dims, coords, kept, labels = dict(model.dims), dict(model.coords), dict(scores), {}
    for name, score in scores.items():
        there = _find_observed(np.asarray(model.observed[name]), score.ndim - 2)
        if there is None or there.shape != score.shape[2:]:
            continue
        kept[name] = score[:, :, there]
        places = np.argwhere(there)
        along = f"{name}_observed"
        axes = [*dims.get(name, ()), *(f"dim_{i}" for i in range(len(dims.get(name, ())), there.ndim))]
        for axis, label in enumerate(axes[: there.ndim]):
            names = np.asarray(coords.get(label, range(there.shape[axis])))
            labels[f"{name}_{label}"] = (along, names[places[:, axis]])
        dims[name], coords[along] = (along,), tuple(np.flatnonzero(there).tolist())
    model = dataclasses.replace(model, dims=tuple(dims.items()), coords=tuple(coords.items()))
    return model, kept, labels


def _find_observed(values: np.ndarray, rank: int) -> np.ndarray | None:
    """Which of the first axes' elements were observed at least in part; None where nothing is missing."""
    if rank == 0 or values.dtype.kind != "f" or not np.isnan(values).any():
        return None
    return ~np.isnan(values).all(axis=tuple(range(rank, values.ndim)))
