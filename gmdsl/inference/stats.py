"""What a step reports: ArviZ's names, their kinds, and how often is rare."""

from typing import Any

type Stats = dict[str, Any]
RARE = 1e-3  # share of divergences, and of NaN, that clean runs of good models have now and then
REAL, WHOLE, FLAG = "real number", "whole number", "flag"
SCHEMA = {
    "lp": REAL,
    "acceptance_rate": REAL,
    "step_size": REAL,
    "energy": REAL,
    "energy_error": REAL,
    "max_energy_error": REAL,
    "n_steps": WHOLE,
    "tree_depth": WHOLE,
    "diverging": FLAG,
    "reached_max_treedepth": FLAG,
    "accepted": FLAG,
    "nan_evaluations": FLAG,
}
EVENTS = ("diverging", "nan_evaluations", "reached_max_treedepth")  # of the whole: true where any block's is
