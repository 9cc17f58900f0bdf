"""The draws of a tree as flat unconstrained vectors of a model, thinned evenly where there are many."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_target import FlatTarget, over_points
from gmdsl.compiler.without_density import coordinates as coordinates_of
from gmdsl.core.errors import SpecError
from gmdsl.results.points import in_batches
from gmdsl.spaces.space import dtype_of

ALONG = 40  # draws of a chain that are kept at least; an effective size needs some


@dataclass(frozen=True)
class Positions:
    """Flat draws, (chain, draw, dim), and the log-weights of weighted ones, (chain, draw)."""

    x: Float[np.ndarray, "chain draw dim"]
    log_weight: Any = None

    def thinned(self, most: int) -> "Positions":
        """At most so many points: every k-th draw, and of many chains every k-th, so that each keeps `ALONG` draws."""
        chains, draws, _ = self.x.shape
        along = min(draws, max(most // chains, ALONG))
        which = np.unique(np.linspace(0, chains - 1, max(1, min(chains, most // along))).astype(int))
        kept = np.unique(np.linspace(0, draws - 1, along).astype(int))
        weights = None if self.log_weight is None else self.log_weight[which][:, kept]
        return Positions(self.x[which][:, kept], weights)


def positions(tree: Any, density: Density) -> Positions:
    """The draws of a tree in the flat coordinates of a model; the weighted particles where there are some.

    Raises:
        SpecError: the tree has no draws of a variable of the model, or of another shape.
    """
    weighted = "particles" in tree.children
    if not weighted and (flat := _read_recorded(tree, density)) is not None:
        return Positions(flat)
    group = tree["particles" if weighted else "posterior"]
    values, found = {}, group.variables
    spaces = density.spaces
    for name in density.free:
        space = spaces[name]
        if name not in found:
            raise SpecError(
                f"check(tree, model): the model has {name}, the tree has {', '.join(map(str, group.data_vars))}."
                " Pass the model that was sampled."
            )
        draws = found[name].values if weighted else found[name].transpose("chain", "draw", ...).values
        if draws.shape[2:] != space.shape:
            raise SpecError(
                f"check(tree, model): {name} has shape {draws.shape[2:]} in the tree, {space.shape} in the model."
                " Pass the model that was sampled."
            )
        values[name] = draws.astype(dtype_of(space))
    leading = next(iter(values.values())).shape[:2]
    together = {name: value.reshape(-1, *value.shape[2:]) for name, value in values.items()}
    x = np.asarray(over_points(FlatTarget.unconstrain, density.target, together))
    x = x.reshape(*leading, density.dim)
    return Positions(x, group["log_weight"].values.astype(float) if weighted else None)


def _read_recorded(tree: Any, density: Density) -> np.ndarray | None:
    """The unconstrained draws that the run has kept."""
    if "unconstrained_posterior" not in tree.children:
        return None
    group, parts = tree["unconstrained_posterior"].variables, []
    for slot in density.target.slots:
        if slot.name not in group:
            return None
        draws = group[slot.name].transpose("chain", "draw", ...).values
        if draws.shape[2:] != slot.space.free_shape:
            return None
        parts.append(draws.reshape(*draws.shape[:2], -1))
    return np.concatenate(parts, axis=-1)


def log_densities_and_scores(density: Density, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-density and score at flat points, (chain, draw, dim), in batches."""
    return in_batches(_log_density_and_score, density.target, x)


def coordinates(density: Density) -> list[str]:
    """What each entry of the flat vector is called."""
    return coordinates_of(density.target)


def _log_density_and_score(target: FlatTarget, x: Any) -> Any:
    return jax.value_and_grad(lambda x: target.flat_log_density(x))(x)
