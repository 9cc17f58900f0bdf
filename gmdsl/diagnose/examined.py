"""A run of chains as the checks see it: its tree, its statistics, and the coordinates that moved."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Examined:
    """What a check of chains reads.

    Attributes:
        tree: the result of `gm.sample`.
    """

    tree: Any

    @property
    def posterior(self) -> Any:
        """The draws, as a dataset."""
        return self.tree["posterior"]

    @property
    def moving(self) -> Any:
        """The draws in the coordinates that the sampler moved, where the run has kept them.

        Angles are given by cosine and sine: the two ends of their interval are one point.
        """
        kept = "unconstrained_posterior" in self.tree.children
        moving = self.tree["unconstrained_posterior"] if kept else self.posterior
        angles = [name for name in self.posterior.attrs.get("angles", ()) if name in moving and name in self.posterior]
        return _as_directions(moving, self.posterior, angles) if angles else moving

    @property
    def stats(self) -> Any:
        """The statistics of the steps, by name; empty where there are none."""
        return self.tree["sample_stats"] if "sample_stats" in self.tree.children else {}


def _as_directions(moving: Any, posterior: Any, angles: list[str]) -> Any:
    """The draws with two variables in place of each angle."""
    import xarray

    directions = {}
    for name in angles:
        directions |= {f"cos {name}": np.cos(posterior[name]), f"sin {name}": np.sin(posterior[name])}
    return xarray.DataTree(moving.to_dataset(inherit=False).drop_vars(angles).assign(directions))
