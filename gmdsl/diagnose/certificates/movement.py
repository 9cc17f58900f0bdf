"""Does the chain move, each coordinate of it, and do chains with other keys part? A dead kernel keeps every law."""

import numpy as np

from gmdsl.diagnose.certificates.certificate import FAILED, PASSED, Row
from gmdsl.diagnose.certificates.trials import Trial, Trials

NAME = "moves"
LEAST = 1e-3  # share of the steps in which a coordinate must move
COINCIDE = 0.01  # share of the chains from one point that may end together


def movement(trials: Trials) -> Row:
    """The share of steps in which each coordinate moves; chains with other keys from one point must part."""
    shares = [(_share(trial), trial) for trial in trials.each]
    share, trial = min(shares, key=lambda pair: pair[0].min())
    if not share.min() >= LEAST:
        where = f"x[{int(share.argmin())}] on ({trial.name})"
        return Row(NAME, FAILED, f"{where} moved in {100 * share.min():.2g} % of the steps")
    alike = _alike(trials.each[0])
    if alike > COINCIDE:
        return Row(NAME, FAILED, f"{100 * alike:.0f} % of the chains made the path of another: a key is reused")
    evidence = f"the stillest coordinate moves in {100 * share.min():.3g} % of the steps; other keys, other paths"
    return Row(NAME, PASSED, evidence)


def _share(trial: Trial) -> np.ndarray:
    """The share of steps in which each coordinate moves, (dim,)."""
    population = trial.stationary
    path = np.concatenate([population.start[:, None], population.position], axis=1)
    return (path[:, 1:] != path[:, :-1]).mean((0, 1))


def _alike(trial: Trial) -> float:
    """The share of chains from one point that move, and move as another one does."""
    start = np.tile(trial.draws(5, 1), (trial.size.chains, 1)).astype(trial.dtype)
    paths = next(trial.run(start, 5)).position
    moved = paths[(paths != start[:, None]).any((1, 2))].reshape(-1, paths[0].size)
    return 1.0 - len(np.unique(moved, axis=0)) / max(len(moved), 1)
