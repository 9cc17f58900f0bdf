"""What is looked at, and what it means when it is wrong.

Used by `gm.check(tree, checks=[my_check])`; in the package it goes into `CHECKS` of `gmdsl/diagnose/check.py`.
"""

from gmdsl.diagnose.examined import Examined
from gmdsl.diagnose.report import Finding

LEAST = 0.01  # acceptance below which a chain is not a sample


def my_check(run: Examined) -> Finding | None:
    """A finding where hardly anything is accepted; None where nothing can be said."""
    if "acceptance_rate" not in run.stats:
        return None
    rate = float(run.stats["acceptance_rate"].mean())
    status = "ok" if rate >= LEAST else "failed"
    return Finding("my check", status, f"{100 * rate:.3g} % of the proposals were accepted", "Lower step_size.")
