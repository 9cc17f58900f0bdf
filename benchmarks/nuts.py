"""NUTS on five targets: seconds per effective draw of gmdsl, NumPyro, BlackJAX and nutpie; then ChEES-HMC against NUTS.

    uv run --group test python benchmarks/nuts.py

4 x (1000 + 1000) with the settings that come with each library; ChEES-HMC has 16 chains of as many draws. The work of
a run is its smallest effective sample size, over all variables and over x and x^2 (of standardised x; bulk, by
ranks), counted by the same code for all. So the ratio of a pair is that of seconds per effective draw, without
compilation; the first call stands apart. All cores may be used, as the libraries do by themselves.
"""

import os
import pathlib
import tempfile

import numpy as np
import report
import run
from harness import QUICK, Bench, Contender, Length

TARGETS = ("eight schools", "correlated", "logistic", "funnel", "volatility")
NAMES = {
    "eight schools": "eight schools, non-centred",
    "correlated": "correlated normal, 50",
    "logistic": "logistic regression, 569 x 31",
    "funnel": "funnel, non-centred, 10",
    "volatility": "stochastic volatility, 100",
}


def ahead(case):
    """Three times the peers on eight schools, ahead of them elsewhere."""
    return 3.0 if case["target"] == "eight schools" else 1.0


MIXED = 1.05  # the largest R-hat, median over runs, with which a rate is a rate
NUTS = (
    Contender("gmdsl", "gmdsl", "contenders.nuts_gmdsl", "nuts"),
    Contender("control: gmdsl again", "gmdsl", "contenders.nuts_gmdsl", "nuts"),
    Contender("numpyro, under one jit", "gmdsl", "contenders.nuts_numpyro", "jitted", ahead),
    Contender("blackjax", "blackjax", "contenders.nuts_blackjax", "nuts", ahead),
    Contender("nutpie", "nutpie", "contenders.nuts_nutpie", "nuts", ahead),
)
CHEES = (
    Contender("gmdsl, ChEESHMC, 64 x (300 + 1,000)", "gmdsl", "contenders.nuts_gmdsl", "chees"),
    Contender("the same on two devices", "gmdsl", "contenders.nuts_gmdsl_devices", "chees"),
    Contender("gmdsl, NUTS, 4 x (1,000 + 1,000)", "gmdsl", "contenders.nuts_gmdsl", "nuts", 3.0),
)
NOTES = (
    "Ratios are of seconds per effective draw without compilation, to the first row of each case: medians over pairs,"
    " each with a seed of its own, with 95 % intervals by ranks.",
    "ESS is the smallest over all variables, of x and of x²; R-hat the largest. `ESS/s` is without compilation, `first"
    " ESS/s` takes the first call of a process that finds nothing compiled. nutpie works in double precision. Where"
    " R-hat is above 1.05 a chain is stuck, and the ratio says nothing.",
)


def table(quick=False, wanted=lambda name: True):
    """The table."""
    length = QUICK if quick else Length(pairs=15, seconds=8.0, least=15)
    rows, skipped = [], []
    for contenders, what in ((NUTS, "{}"), (CHEES, "ChEES-HMC: {}")):
        with Bench(contenders, fresh=True) as bench:
            for target in TARGETS:
                case = {"name": what.format(NAMES[target]), "target": target, "draws": 1000}
                if wanted(case["name"]):
                    rows += [with_rates(row) for row in bench.compare(case, length, effective)]
            skipped += bench.skipped
    numbers = {
        "seconds": ("a call s", "{:.3f}"),
        "ess": ("ESS", "{:.0f}"),
        "rhat": ("R-hat", "{:.3f}"),
        "rate": ("ESS/s", "{:.0f}"),
        "first rate": ("first ESS/s", "{:.0f}"),
    }
    title = "NUTS, wall time per effective draw"
    return report.Table("nuts", title, "µs per effective draw", 1e6, "wall", rows, skipped, numbers, NOTES)


def effective(case, process, seed, repeat):
    """One call, whose work is its smallest effective sample size."""
    handle, path = tempfile.mkstemp(suffix=".npy")
    os.close(handle)
    try:
        answer = process.run(seed, 1, path)
        draws = np.load(path)
    finally:
        pathlib.Path(path).unlink()
    ess, rhat = smallest(draws)
    return {**answer, "seconds": answer["wall"], "work": ess, "ess": ess, "rhat": rhat}


def smallest(draws):
    """The smallest effective sample size of x and x^2 and the largest R-hat, of draws (chain, draw, dim)."""
    from arviz_stats.base import array_stats

    draws = draws.astype(float)
    z = (draws - draws.mean((0, 1))) / np.maximum(draws.std((0, 1)), 1e-30)
    sizes = [array_stats.ess(power, chain_axis=0, draw_axis=1).min() for power in (z, z**2)]
    return float(min(sizes)), float(array_stats.rhat(z, chain_axis=0, draw_axis=1).max())


def with_rates(row):
    """Adds effective draws per second, without and with compilation; a run that does not mix has no rate."""
    if "medians" in row:
        held = row["medians"]
        held |= {"rate": 1 / row["wall"], "first rate": held["ess"] / row["first"]["wall"]}
        if held["rhat"] > MIXED:
            row["void"] = "does not mix"
    return row


if __name__ == "__main__":
    run.main("nuts")
