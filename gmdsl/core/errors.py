"""Errors and warnings for people: the node, what was given, what was declared, the fix.

Every message has one form, ``operation(node): what was given, what was declared. What to do.``
Kernels never raise; trouble inside a compiled loop is data (``diverging``, ``nan_evaluations``).
"""

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any


class SpecError(ValueError):
    """A model, a value or a setting that cannot be what was meant."""


class StartError(RuntimeError):
    """No chain can start: the log-density or its gradient is not finite there."""


class FitError(RuntimeError):
    """A loss or a parameter is not finite; `fit` holds the last good state."""

    fit: Any = None


class StoreError(RuntimeError):
    """A store that cannot be written, where what was committed is safe, or a file of one that is damaged or missing."""


class CaptureWarning(UserWarning):
    """A function closes over arrays or mutable objects, which are frozen into the program."""


class NaNWarning(UserWarning):
    """The log-density was NaN at some proposals, which were rejected: the target is cut there."""


class PrecisionWarning(UserWarning):
    """Numbers that differ become equal in the precision of the model."""


class RankWarning(UserWarning):
    """A function broadcasts arrays of different rank without saying so."""


def unknown_name(
    operation: str, name: str, known: Iterable[str], what: str = "variables", fix: str | None = None
) -> SpecError:
    """The error for a name that nothing has, with the nearest names that exist, or else what to do.

    >>> print(unknown_name("condition(thta=...)", "thta", ["mu", "theta"]))
    condition(thta=...): there is no 'thta'; the variables are mu, theta. Did you mean 'theta'?
    """
    known = list(known)
    same = [other for other in known if other.lower() == name.lower()]
    close = same or difflib.get_close_matches(name, known, n=1)
    listed = f"; the {what} are {', '.join(known)}" if known else f", and there are no other {what}"
    otherwise = fix or ("Use one of these names." if known else "Declare it first.")
    hint = f"Did you mean '{close[0]}'?" if close else otherwise
    return SpecError(f"{operation}: there is no '{name}'{listed}. {hint}")


def check_positive(settings: Any, *names: str, renamed: Any = None) -> None:
    """Refuses settings that are not finite numbers above zero; traced values pass.

    Raises:
        SpecError: names the class, the setting and its value.
    """
    for name in names:
        value = getattr(settings, name)
        if hasattr(value, "aval"):  # a JAX array, perhaps traced
            continue
        if not (isinstance(value, numbers.Real) and value > 0 and math.isfinite(value)):
            shown = (renamed or {}).get(name, name)
            raise SpecError(f"{type(settings).__name__}({shown}={value!r}): a finite number above zero is needed.")


def check_not_negative(settings: Any, *names: str) -> None:
    """Refuses settings that are not finite numbers of at least zero; traced values pass.

    Raises:
        SpecError: names the class, the setting and its value.
    """
    for name in names:
        value = getattr(settings, name)
        if hasattr(value, "aval") and value.shape == ():  # a number of JAX, perhaps traced
            continue
        if not (isinstance(value, numbers.Real) and value >= 0 and math.isfinite(value)):
            raise SpecError(f"{type(settings).__name__}({name}={value!r}): a finite number of at least 0 is needed.")


def check_one_of(settings: Any, name: str, *known: Any) -> None:
    """Refuses a setting that is none of a few values.

    Raises:
        SpecError: names the class, the setting, its value and what there is.
    """
    value = getattr(settings, name)
    if isinstance(value, bool) or value not in known:
        raise SpecError(f"{type(settings).__name__}({name}={value!r}): one of {', '.join(map(str, known))} is needed.")
