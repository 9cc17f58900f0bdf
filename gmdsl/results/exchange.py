r"""What chains on several rungs tell: how often neighbours trade places, round trips, the barrier, and log Z.

Each pair of neighbours is a bridge (`gmdsl.results.bridge`); log Z of the target is the sum over the ladder. The
communication barrier is the sum of the rejection rates from the reference on. Draws of the reference are exact, so that
the tail of their weights towards the next rung tells whether it is too narrow.

Reference:
    Syed, Bouchard-Cote, Deligiannidis, Doucet, *Non-reversible parallel tempering*, JRSS B 84, 2022.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from gmdsl.results.bridge import OVERLAP, bridge, error_of_chains
from gmdsl.results.estimate import LogZ
from gmdsl.results.reliability import HELD, LEAST, WIDER, Verdict, held_share, pareto_k

STRETCH = 4  # draws at the target whose mean acceptance is looked at
REFUSED = 0.95  # share of refused swaps between neighbours at which copies hardly pass
NARROW = 0.5  # Pareto k of the weights from the reference to the next rung: above it they have no variance
TRIPS = 10  # round trips below which copies have not mixed


@dataclass(frozen=True)
class Exchange:
    """How copies travelled.

    Attributes:
        betas: the ladder of each chain, (chains, rungs).
        swap_rate: mean chance of a swap of each pair of neighbours, (chains, pairs).
        round_trips: from the reference to the target and back, of all copies of each chain.
        log_z: the estimate of log Z of the target less that of the reference.
        reference_k: Pareto shape of the weights from the reference to the next rung.
    """

    betas: Float[np.ndarray, "chains rungs"]
    swap_rate: Float[np.ndarray, "chains pairs"]
    round_trips: Float[np.ndarray, " chains"]
    log_z: LogZ
    reference_k: float = float("nan")

    @property
    def barrier(self) -> Float[np.ndarray, "chains rungs"]:
        """The sum of rejection rates up to each rung."""
        refused = np.cumsum(1.0 - self.swap_rate, axis=1)
        return np.concatenate([np.zeros((len(refused), 1)), refused], axis=1)

    def group(self) -> dict[str, np.ndarray]:
        """Arrays for a tree, by name."""
        curve = self.log_z.curve["log_z"]
        return {
            "betas": self.betas, "swap_rate": self.swap_rate, "barrier": self.barrier,
            "round_trips": self.round_trips, "log_z": curve,
        }  # fmt: skip


def exchange(betas: Any, stats: Any, between: Any, method: str) -> Exchange:
    """What the stats of a run on several rungs say.

    Args:
        betas: the ladder of each chain, (chains, rungs).
        stats: `log_ratio` (chains, draws, rungs), `swap_rate` (chains, draws, pairs), `round_trips` (chains, draws).
        between: the densities of the path (`gmdsl.inference.interpolation.Interpolation`).
        method: what made it.
    """
    ratio = np.asarray(stats["log_ratio"], float)
    betas = np.broadcast_to(np.asarray(betas, float), (ratio.shape[0], ratio.shape[2]))
    swap_rate = np.asarray(stats["swap_rate"], float).mean(axis=1)
    trips = np.asarray(stats["round_trips"]).sum(axis=1)
    first: list[np.ndarray] = []
    steps, series, overlap = [], np.zeros(ratio.shape[:2]), 1.0
    for chain, ladder in enumerate(betas):
        row = []
        for k in range(len(ladder) - 1):
            grown = np.asarray(between.increment(ratio[chain, :, k : k + 2], ladder[k], ladder[k + 1]), float)
            found = bridge(grown[:, 0], grown[:, 1])
            row.append(found.log_ratio)
            if k == 0:
                first.append(grown[:, 0] - found.log_ratio)
            series[chain] += found.below + found.above
            overlap = min(overlap, found.overlap)
        steps.append(row)
    curve = np.concatenate([np.zeros((len(betas), 1)), np.cumsum(steps, axis=1)], axis=1)
    ends = curve[:, -1]
    within, size = error_of_chains(series)
    among = ends.std(ddof=1) / np.sqrt(len(ends)) if len(ends) > 1 else 0.0
    k = pareto_k(np.concatenate(first))  # draws of the reference are independent: their weights show its tails
    verdict = _judge(k, swap_rate, trips, overlap, size, ends, _held(stats.get("acceptance_rate")))
    estimate = LogZ(
        float(ends.mean()), float(max(within, among)), size, {"betas": betas, "log_z": curve}, method,
        ratio.shape[0] * ratio.shape[1], judged=verdict,
    )  # fmt: skip
    return Exchange(betas, swap_rate, trips, estimate, k)


def _held(rates: Any) -> float:
    """The share of stretches of a few draws at the target in which next to no move was accepted."""
    if rates is None:
        return 0.0
    rates = np.asarray(rates, float)
    stretch = int(np.ceil(STRETCH * max(1.0, (0.57 / max(np.nanmean(rates), 0.05)) ** 2)))
    if rates.shape[1] < stretch:
        return 0.0
    mean = np.lib.stride_tricks.sliding_window_view(rates, stretch, axis=1).mean(axis=-1)
    return held_share(mean.ravel(), np.full(mean.size, 1.0 / mean.size))


def _judge(k: float, swap_rate: Any, trips: Any, overlap: float, size: float, ends: Any, held: float) -> Verdict:
    evidence = (
        f"{int(trips.sum())} round trips, swaps accepted at {swap_rate.min():.2g} or more, {size:.0f} draws count"
    )
    if not np.isfinite(ends).all():
        return Verdict("failed", f"{evidence}; neighbours have nothing in common", "Take more temperatures.")
    if swap_rate.min() < 1.0 - REFUSED or overlap < OVERLAP:
        return Verdict("suspect", evidence, "Copies hardly pass between two rungs. Take more temperatures.")
    if trips.sum() < TRIPS or size < LEAST:
        return Verdict("suspect", evidence, "Few copies came from the reference to the target. Take more draws.")
    if k > NARROW:
        told = f"{evidence}; weights from the reference to the next rung have a Pareto k of {k:.2f}: it is too narrow"
        return Verdict("suspect", told, WIDER)
    if held > HELD:
        told = f"{evidence}; {held:.0%} of the time the copy at the target could not leave its place"
        return Verdict("suspect", told, "Its step fits the rest: write the model non-centred, or take gm.Slice().")
    return Verdict("ok", evidence)
