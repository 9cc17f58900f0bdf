"""What grows with a model: rows, unknowns, names, labels, a covariance; and models in one process.

    uv run --group test python benchmarks/scale.py

Each case has a yardstick: the sampling for `gm.check`, a gradient for a leapfrog step, a hand-written density for a
Gaussian process, one array for many names. Memory and memory maps are numbers beside: the models of the last case come
in groups, and after the first groups both are to stay.
"""

import report
import run
from harness import QUICK, Bench, Contender, Length

SIZES = {"rows": 10**6, "draws": 25, "unknowns": 10**5, "points": 200, "names": 1000, "labels": 500, "models": 25}
SMALL = {"rows": 10**4, "draws": 100, "unknowns": 20_000, "points": 50, "names": 30, "labels": 20, "models": 3}
LENGTHS = {
    "models": Length(pairs=6, seconds=600.0),  # so that the last pairs are those after 150
    "rows": Length(pairs=6, seconds=600.0),
}
GOALS = {"rows": 1.0, "unknowns": 1 / 1.3, "process": 1 / 1.2, "names": None, "chain": None}


def cases(sizes):
    """The cases at these sizes."""
    size = lambda *names: {name: sizes[name] for name in names}  # noqa: E731
    many = f"{sizes['unknowns']:,} unknowns"
    return (
        {"what": "rows", "name": f"gm.check on {sizes['rows']:,} rows", **size("rows", "draws")},
        {"what": "unknowns", "name": f"leapfrog, {many}", "hierarchical": False, **size("unknowns")},
        {"what": "unknowns", "name": f"leapfrog, {many}, hierarchical", "hierarchical": True, **size("unknowns")},
        *(
            {"what": "process", "name": f"Gaussian process, {sizes['points']} points, {noise}", "noise": noise}
            | size("points")
            for noise in ("Poisson", "normal")
        ),
        {"what": "names", "name": f"{sizes['names']:,} named scalars", **size("names")},
        {"what": "chain", "name": f"a named chain of {sizes['labels']} labels", **size("labels")},
        {"what": "models", "name": f"{sizes['models']} different models more", **size("models")},
    )


CASES = cases(SIZES)
is_process = lambda case: case["what"] == "process"  # noqa: E731
has_peer = lambda case: case["what"] not in ("process", "models")  # noqa: E731
goal = lambda case: GOALS[case["what"]]  # noqa: E731
CONTENDERS = (
    Contender("gmdsl", "gmdsl", "contenders.scale_gmdsl", "run"),
    Contender("control: gmdsl again", "gmdsl", "contenders.scale_gmdsl", "run"),
    Contender("yardstick: sampling, gradient, one array", "gmdsl", "contenders.scale_gmdsl", "peer", goal, has_peer),
    Contender("hand-written density", "gmdsl", "contenders.scale_hand", "process", goal, is_process),
)
NOTES = (
    "One thread per process. Ratios are to the first row of each case: medians over pairs with 95 % intervals by ranks."
    " `memory` is the peak of the process, of different models what it holds then; `maps` counts its memory maps.",
)


def table(quick=False, wanted=lambda name: True):
    """The table."""
    length, rows = QUICK if quick else Length(pairs=9, seconds=60.0, least=6), []
    with Bench(CONTENDERS, one_thread=True, fresh=True) as bench:
        for case in cases(SMALL) if quick else CASES:
            if wanted(case["name"]):
                rows += bench.compare(case, length if quick else LENGTHS.get(case["what"], length))
        skipped = bench.skipped
    numbers = {"memory": ("MB", "{:.0f}"), "maps": ("maps", "{:.0f}")}
    return report.Table("scale", "Scale, CPU time", "ms", 1e3, "cpu", rows, skipped, numbers, NOTES)


if __name__ == "__main__":
    run.main("scale")
