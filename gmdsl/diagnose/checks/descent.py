"""Is a fit at a minimum? The loss where it ended against that some steps further down its slope.

The history of a loss says nothing where the learning rate was lowered to zero: it is level wherever that happens. Nor
does it say much after fifty steps. The slope does, measured on batches that no step has seen.
"""

from typing import Any

import numpy as np

from gmdsl.diagnose.report import Finding
from gmdsl.run.descent import descent

ERRORS = 4.0  # standard errors
FALL = 0.02  # of the whole fall
EACH = 0.02  # nats for each number of a datum, or units of another loss, that are no minimum from wherever it came
MUCH = 1.0  # the same of a datum of many numbers
FEW = 80  # steps, whose losses say nothing of a level
SMALL = 1e-3  # of the size of the loss: what rounding and the noise of an optimiser leave


def slope(fit: Any) -> Finding | None:
    """The finding "slope" of a fit; None where the loss is no function that is minimised."""
    if fit.end is None or not fit.end.trainer.objective.value.comparable:
        return None
    loss = np.asarray(fit.history.get("loss", ()), float)
    if not loss.size or not np.isfinite(loss).all():
        return None
    gain, error = descent(fit.end)
    if not np.isfinite(gain):
        return Finding("slope", "note", "not examined: the loss is not finite a few steps further")
    whole = abs(float(np.mean(loss[: max(1, loss.size // 50)]) - np.mean(loss[-max(1, loss.size // 4) :])))
    evidence = f"down its slope the loss falls by {max(gain, 0.0):.3g} more, after {whole:.3g} in all"
    numbers = sum(int(np.prod(values.shape[1:])) for values in fit.end.data.values())
    least = max(min(FALL * whole, EACH * numbers, MUCH), SMALL * (1.0 + abs(float(loss[-1]))))
    if gain > ERRORS * error and gain > least:
        advice = "It is at no minimum: make more steps, or lower the learning rate later. If the loss has no end, the"
        return Finding("slope", "suspect", evidence, f"{advice} likelihood has no maximum: give a prior or a bound.")
    if loss.size < FEW and ERRORS * error > FALL * whole:
        return Finding(
            "slope", "note", f"not examined: {loss.size} steps, and the batches differ by more than they fell"
        )
    return Finding("slope", "ok", evidence)
