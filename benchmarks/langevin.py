"""Unadjusted Langevin on three energies, with 1, 100 and many chains: gmdsl, hand-written JAX, BlackJAX, torch's peers.

    uv run --group test python benchmarks/langevin.py

One thread per process, float32, the same step size, the same law of starts. Contenders that call Python at each step
make fewer of them; the ratio is of times per step of a chain. What is compared is the later calls, each with another
seed, from the call to draws on the host.
"""

import report
import run
from harness import QUICK, Bench, Contender, Length

# energy, chains, draws, thin, steps of the eager contenders; a run is a tenth of a second or more
SIZES = (
    ("mixture", 1, 20, 10_000, 300),
    ("mixture", 100, 10, 1_500, 200),
    ("mixture", 10_000, 2, 150, 20),
    ("mlp", 1, 10, 5_000, 300),
    ("mlp", 100, 2, 500, 100),
    ("mlp", 10_000, 2, 10, 4),
    ("conv", 1, 2, 1_000, 200),
    ("conv", 100, 2, 15, 20),
    ("conv", 10_000, 1, 2, 1),
)
NAMES = {"mixture": "mixture of 8", "mlp": "MLP 2-128-128-128-1", "conv": "convolutions, 28 x 28"}


def cases():
    """The rows of `SIZES` as contenders want them."""
    keys = ("energy", "chains", "draws", "thin", "eager")
    for size in SIZES:
        case = dict(zip(keys, size, strict=True))
        plural = "chain" if case["chains"] == 1 else "chains"
        yield {"name": f"{NAMES[case['energy']]}, {case['chains']:,} {plural}", **case}


def many_cheap(case):
    """Five times BlackJAX where chains are many and the energy is elementwise, ahead of it elsewhere."""
    return 5.0 if case["energy"] == "mixture" and case["chains"] >= 10_000 else 1.0


def few_cheap(case):
    """Fifty times the eager peers where chains are few and the energy is cheap, ahead of them elsewhere."""
    return 50.0 if case["energy"] == "mixture" and case["chains"] <= 100 else 1.0


is_mixture = lambda case: case["energy"] == "mixture"  # noqa: E731
CONTENDERS = (
    Contender("gmdsl", "gmdsl", "contenders.langevin_gmdsl", "sample"),
    Contender("control: gmdsl again", "gmdsl", "contenders.langevin_gmdsl", "sample"),
    Contender("hand-written, best", "gmdsl", "contenders.langevin_hand", "best", 1 / 1.1),
    Contender("hand-written, simple", "gmdsl", "contenders.langevin_hand", "simple"),
    Contender("blackjax.sgld", "blackjax", "contenders.langevin_blackjax", "sgld", many_cheap),
    Contender("blackjax.mala", "blackjax", "contenders.langevin_blackjax", "mala", None, is_mixture),
    Contender("torchebm", "torch", "contenders.langevin_torch", "torchebm", few_cheap),
    Contender("ebmkit", "torch", "contenders.langevin_torch", "ebmkit", few_cheap),
)


def table(quick=False, wanted=lambda name: True):
    """The table."""
    length, rows = QUICK if quick else Length(pairs=15, seconds=8.0, least=15), []
    with Bench(CONTENDERS, one_thread=True) as bench:
        for case in cases():
            if wanted(case["name"]):
                rows += bench.compare(case, length)
        skipped = bench.skipped
    notes = (
        "One thread per process. Times are of a step of one chain, the whole call from the model to draws on the host"
        " included. Ratios are to the first row of each case: medians over pairs with 95 % intervals by ranks.",
        "`best` keeps what gmdsl keeps; `mala` does more work than the others.",
    )
    return report.Table("langevin", "Langevin, time per step", "ns per step", 1e9, "cpu", rows, skipped, notes=notes)


if __name__ == "__main__":
    run.main("langevin")
