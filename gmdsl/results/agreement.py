"""Several estimates of one log Z: repeats of a method as one estimate, and methods side by side."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from gmdsl.results.estimate import LogZ, leave_out_error
from gmdsl.results.reliability import Verdict

WIDEST = 90  # letters of a method in the table
APART = 4.0  # standard errors between two estimates that disagree


@dataclass(frozen=True)
class Agreement:
    """Estimates of one log Z by several methods, and the largest gap between two in standard errors."""

    rows: tuple[LogZ, ...]

    @property
    def worst(self) -> float:
        """The largest gap between two estimates, in standard errors of their difference; NaN if one is no number."""
        gaps = [
            abs(a.log_z - b.log_z) / np.hypot(a.standard_error, b.standard_error)
            for i, a in enumerate(self.rows)
            for b in self.rows[:i]
        ]
        return float(max(gaps, default=0.0)) if not np.isnan(gaps).any() else float("nan")

    @property
    def status(self) -> str:
        """The word "ok" where methods agree and none is in doubt, "failed" without a number, else "suspect"."""
        if not any(np.isfinite(row.log_z) for row in self.rows):
            return "failed"
        agree = self.worst <= APART and all(row.status == "ok" for row in self.rows)
        return "ok" if agree else "suspect"

    @property
    def log_z(self) -> float:
        """The estimates that are not in doubt, weighted by their errors; NaN where methods disagree."""
        return self._weighted()[0]

    @property
    def standard_error(self) -> float:
        """Its standard error: that of the best method, since methods may err alike; infinite where they disagree."""
        return self._weighted()[1]

    def _weighted(self) -> tuple[float, float]:
        sound = [row for row in self.rows if row.status == "ok"]
        if not sound or Agreement(tuple(sound)).worst > APART:
            return float("nan"), float("inf")
        weights = np.array([1.0 / max(row.standard_error, 1e-12) ** 2 for row in sound])
        value = float(weights @ [row.log_z for row in sound] / weights.sum())
        return value, min(row.standard_error for row in sound)

    def __str__(self) -> str:
        names = [row.method if len(row.method) <= WIDEST else f"{row.method[: WIDEST - 3]}..." for row in self.rows]
        width = max(map(len, [*names, "method"])) + 2
        lines = [f"{'method':<{width}}{'log Z':>10}{'se':>9}{'ESS':>9}  status"]
        lines += [
            f"{name:<{width}}{row.log_z:>10.3f}{row.standard_error:>9.3f}{row.ess:>9.0f}  {row.status}"
            for name, row in zip(names, self.rows, strict=True)
        ]
        lines.append(f"largest gap: {self.worst:.1f} standard errors")
        if np.isnan(self.log_z):
            sound = [row for row in self.rows if row.status == "ok"]
            told = (f"{row.method.split('(')[0]}: {row.verdict.evidence}" for row in self.rows)
            why = "methods disagree" if sound else "; ".join(told)
            return "\n".join([*lines, f"no number: {why}"])
        return "\n".join([*lines, f"log Z = {self.log_z:.3f} +- {self.standard_error:.3f}"])


def repeated(found: list[LogZ]) -> LogZ:
    """Independent estimates by one method as one: the mean of Z, its error from their spread and from their own.

    >>> def one(value):
    ...     return LogZ(value, 0.1, 100.0, judged=Verdict("ok", "a test"))
    >>> both = repeated([one(1.0), one(1.2)])
    >>> round(both.log_z, 3), both.standard_error > 0.07
    (1.105, True)
    """
    first = found[0]
    if len(found) == 1:
        return first
    values = np.array([one.log_z for one in found])
    stated = np.sqrt(np.mean(np.square([one.standard_error for one in found])) / len(found))
    if not np.isfinite(values).any():
        return first
    top = values[np.isfinite(values)].max()
    weight = np.exp(values - top)
    spread = leave_out_error(weight)
    worst = min((one.verdict for one in found), key=lambda one: ("failed", "suspect", "ok").index(one.status))
    evidence = f"{len(found)} repeats, from {values.min():.3f} to {values.max():.3f}; the worst: {worst.evidence}"
    return dataclasses.replace(
        first,
        log_z=float(top + np.log(weight.mean())),
        standard_error=float(max(spread, stated)),
        ess=float(sum(one.ess for one in found)),
        particles=sum(one.particles for one in found),
        log_weight=np.concatenate([one.log_weight for one in found]),
        judged=Verdict(worst.status, evidence, worst.advice),
    )
