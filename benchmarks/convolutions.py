"""Seconds per step of training by convolutions, and back from noise through them: gmdsl, a jitted loop, torch.

    uv run --group test python benchmarks/convolutions.py

Denoising score matching and the reverse SDE of pictures (`contenders/pictures.py`): the same networks, first weights,
batches and optimiser for all. On one thread per process; the U-Net of 28 x 28 on all cores, too.
"""

import os

import report
import run
from harness import QUICK, Bench, Contender, Length

STEPS = {"train": {8: 20, 28: 2}, "sample": {8: 100, 28: 20}}  # of one run; samples cost half a second besides


def case(net, side, what, threads=1):
    """A case as contenders want it."""
    does, where = {"train": "training", "sample": "reverse SDE"}[what], "" if threads == 1 else f", {threads} threads"
    settings = {"net": net, "side": side, "what": what, "threads": threads, "steps": STEPS[what][side]}
    return {"name": f"{net}, {side} x {side}, {does}{where}", **settings}


NETS = ("16-16", "16-32-16", "stride 2", "transposed", "4 groups", "U-Net")
CASES = (
    *(case(net, 8, "train") for net in NETS),
    case("U-Net", 28, "train"),
    *(case("U-Net", side, "sample") for side in (8, 28)),
    *(case("U-Net", 28, what, os.cpu_count() or 1) for what in ("train", "sample") if (os.cpu_count() or 1) > 1),
)
CONTENDERS = (
    Contender("gmdsl", "gmdsl", "contenders.convolutions_gmdsl", "run"),
    Contender("control: gmdsl again", "gmdsl", "contenders.convolutions_gmdsl", "run"),
    Contender("jitted step, Python loop", "gmdsl", "contenders.convolutions_hand", "loop", 1 / 1.1),
    Contender("torch, eager loop", "torch", "contenders.convolutions_torch", "eager"),
)
NOTES = (
    "One thread per process where no number of threads is told. Ratios are to the first row of each case: medians over"
    " pairs with 95 % intervals by ranks. `loss` is the mean of all steps, `sd` that of all pixels, to see that"
    " all do the same.",
)


def table(quick=False, wanted=lambda name: True):
    """The table."""
    length, rows = QUICK if quick else Length(pairs=15, seconds=25.0, least=7), []
    for alone in (True, False):
        with Bench(CONTENDERS, one_thread=alone) as bench:
            for each in CASES:
                if wanted(each["name"]) and (each["threads"] == 1) == alone:
                    rows += bench.compare(each, length)
            skipped = bench.skipped
    numbers = {"loss": ("loss", "{:.3f}"), "sd": ("sd", "{:.3f}")}
    title = "Convolutions, wall time per step"
    return report.Table("convolutions", title, "ms per step", 1e3, "wall", rows, skipped, numbers, NOTES)


if __name__ == "__main__":
    run.main("convolutions")
