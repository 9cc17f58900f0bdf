"""Seconds per training step: `gm.fit`, a hand-written scan, and the loops that users of other libraries write.

    uv run --group test python benchmarks/training.py

Denoising score matching of two moons, and persistent contrastive divergence of an energy (`contenders/moons.py`): the
same network, first weights, data, batch size and optimiser for all, after compilation, one thread per process.
"""

import report
import run
from harness import QUICK, Bench, Contender, Length

CASES = (
    {"name": "denoising score matching, batch 256", "objective": "score", "steps": 500},
    {"name": "persistent contrastive divergence", "objective": "divergence", "steps": 500},
)
is_score = lambda case: case["objective"] == "score"  # noqa: E731
CONTENDERS = (
    Contender("gm.fit", "gmdsl", "contenders.training_gmdsl", "fit"),
    Contender("control: gm.fit again", "gmdsl", "contenders.training_gmdsl", "fit"),
    Contender("hand-written scan", "gmdsl", "contenders.training_hand", "scan", 1 / 1.05),
    Contender("equinox, filter_jit loop", "blackjax", "contenders.training_loops", "equinox", 1.4, is_score),
    Contender("flax, nnx.jit loop", "blackjax", "contenders.training_loops", "flax", 1.8, is_score),
    Contender("torch, eager loop", "torch", "contenders.training_torch", "eager", 1.4, is_score),
)
NOTES = (
    "One thread per process. Ratios are to the first row of each case: medians over pairs with 95 % intervals by ranks."
    " `loss` is that of the last 100 steps, to see that all learn the same.",
)


def table(quick=False, wanted=lambda name: True):
    """The table."""
    length, rows = QUICK if quick else Length(pairs=21, seconds=25.0, least=15), []
    with Bench(CONTENDERS, one_thread=True) as bench:
        for case in CASES:
            if wanted(case["name"]):
                rows += bench.compare(case, length)
        skipped = bench.skipped
    numbers = {"loss": ("loss", "{:.3f}")}
    return report.Table(
        "training", "Training, CPU time per step", "µs per step", 1e6, "cpu", rows, skipped, numbers, NOTES
    )


if __name__ == "__main__":
    run.main("training")
