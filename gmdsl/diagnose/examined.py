"""A run of chains as the checks see it: its tree, its statistics, and the coordinates that moved."""

from dataclasses import dataclass
from typing import Any


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
        """The draws in the coordinates that the sampler moved, where the run has kept them."""
        return (
            self.tree["unconstrained_posterior"] if "unconstrained_posterior" in self.tree.children else self.posterior
        )

    @property
    def stats(self) -> Any:
        """The statistics of the steps, by name; empty where there are none."""
        return self.tree["sample_stats"] if "sample_stats" in self.tree.children else {}
