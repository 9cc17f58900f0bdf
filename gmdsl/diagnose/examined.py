"""A run of chains as the checks see it: its tree, its statistics, and the coordinates that moved."""

import functools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

CERTAIN = 0.99  # share of draws with one value from which an element of a discrete variable is all but certain


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

    @functools.cached_property
    def moving(self) -> Any:
        """The draws in the coordinates that the sampler moved, where the run has kept them.

        Angles are given by cosine and sine: the two ends of their interval are one point. Elements without density are
        left out: no law says how they move.
        """
        kept = "unconstrained_posterior" in self.tree.children
        moving = with_density(self.tree["unconstrained_posterior"] if kept else self._not_computed, self.tree)
        angles = [name for name in self.posterior.attrs.get("angles", ()) if name in moving and name in self.posterior]
        return _as_directions(moving, self.posterior, angles) if angles else moving

    @property
    def _not_computed(self) -> Any:
        """The draws without variables that are computed of others, which may be constant."""
        computed = [name for name in np.atleast_1d(self.posterior.attrs.get("computed", [])) if name in self.posterior]
        data = self.posterior.to_dataset(inherit=False)
        return _tree(data.drop_vars(computed)) if computed and len(computed) < len(data) else self.posterior

    @functools.cached_property
    def ranked(self) -> Any:
        """The moving draws without elements of discrete variables that have one value in almost all draws.

        Ranks of such draws are ties, and say nothing of how the chains mix.
        """
        posterior = self.posterior
        discrete = [name for name in self.moving.data_vars.keys() if is_discrete(posterior, name)]  # noqa: SIM118
        return _without_certain(self.moving, discrete) if discrete else self.moving

    @property
    def stats(self) -> Any:
        """The statistics of the steps, by name; empty where there are none."""
        return self.tree["sample_stats"] if "sample_stats" in self.tree.children else {}


def _tree(data: Any) -> Any:
    import xarray

    return xarray.DataTree(data)


def is_discrete(posterior: Any, name: str) -> bool:
    """Whether a variable of the draws has whole numbers or flags."""
    return name in posterior.variables and posterior.variables[name].dtype.kind in "biu"


def without_density(tree: Any) -> dict[str, list[int]]:
    """The elements of each variable that are masked and have no density, by their places, as the run has noted."""
    return json.loads(tree["posterior"].attrs.get("without_density", "{}"))


def with_density(group: Any, tree: Any) -> Any:
    """A group of draws without the elements that have no density."""
    gone = {name: places for name, places in without_density(tree).items() if name in group.variables}
    if not gone:
        return group
    data = group.to_dataset(inherit=False)
    for name, places in gone.items():
        values = data[name].transpose("chain", "draw", ...).values
        flat = values.reshape(*values.shape[:2], -1)
        left = np.delete(flat, [place for place in places if place < flat.shape[2]], axis=2)
        data = data.drop_vars(name)
        if left.shape[2]:
            data = data.assign({name: (("chain", "draw", f"{name} element"), left)})
    return _tree(data)


def _without_certain(moving: Any, discrete: list[str]) -> Any:
    """The draws without those elements of some variables that almost never leave one value."""
    import xarray

    data = moving.to_dataset(inherit=False)
    for name in discrete:
        values = data[name].transpose("chain", "draw", ...).values
        flat = values.reshape(*values.shape[:2], -1)
        usual = np.median(flat, axis=(0, 1))
        kept = (flat == usual).mean(axis=(0, 1)) < CERTAIN
        data = data.drop_vars(name)
        if kept.any():
            data = data.assign({name: (("chain", "draw", f"{name} element"), flat[..., kept])})
    return xarray.DataTree(data)


def _as_directions(moving: Any, posterior: Any, angles: list[str]) -> Any:
    """The draws with two variables in place of each angle."""
    import xarray

    directions = {}
    for name in angles:
        directions |= {f"cos {name}": np.cos(posterior[name]), f"sin {name}": np.sin(posterior[name])}
    return xarray.DataTree(moving.to_dataset(inherit=False).drop_vars(angles).assign(directions))
