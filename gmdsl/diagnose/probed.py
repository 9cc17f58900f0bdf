"""Looks at a model that may raise: what a model does far out says nothing of a run that never went there."""

from collections.abc import Callable

from gmdsl.core.errors import SpecError
from gmdsl.diagnose.report import Finding

ADVICE = "The draws are not concerned. Give NaN or -inf there in place of an error, as by throw=False in diffrax."


def probed(name: str, look: Callable[[], Finding]) -> Finding:
    """The finding of a look at a model; a note where the model raises at the points that are tried.

    >>> probed("gradient", lambda: 1 / 0).evidence
    'not examined: the model raises at the points that are tried (ZeroDivisionError: division by zero)'
    """
    return several_probed(name, lambda: [look()])[0]


def several_probed(name: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """The findings of a look that has several; one note where the model raises."""
    try:
        return look()
    except SpecError:  # of another model than the one that was sampled
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {_last_line(error)}"
        evidence = f"not examined: the model raises at the points that are tried ({told})"
        return [Finding(name, "note", evidence, ADVICE)]


def _last_line(error: Exception) -> str:
    """What an error says; JAX puts its own remarks around what a host function raised."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -=")]
    raised = [line for line in lines if line.split(":")[0].isidentifier() and "Error" in line.split(":")[0]]
    return (raised or lines or [""])[-1 if raised else 0][:90]
