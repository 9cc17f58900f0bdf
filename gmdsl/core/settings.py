"""Names of settings: what another library calls a setting, and what it is called here."""

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from gmdsl.core.errors import SpecError

ELSEWHERE: dict[str, tuple[str, ...]] = {  # the name here, and names in NumPyro, PyMC, Stan, BlackJAX, TFP, optax
    "draws": ("num_samples", "n_samples", "num_draws", "iter_sampling", "num_results", "n_iter", "iter", "samples"),
    "warmup": ("num_warmup", "tune", "iter_warmup", "warmup_steps", "num_burnin_steps", "burn_in", "burnin", "n_tune"),
    "chains": ("num_chains", "n_chains", "nchains"),
    "chain_mode": ("chain_method",),
    "seed": ("random_seed", "rng_key", "key", "random_state", "rng_seed"),
    "init": (
        "init_params",
        "initvals",
        "inits",
        "init_strategy",
        "start",
        "initial_position",
        "init_values",
        "initial",
    ),
    "thin": ("thinning", "num_steps_between_results"),
    "progress": ("progress_bar", "progressbar", "show_progress"),
    "target_accept": ("target_accept_prob", "target_acceptance_rate", "adapt_delta", "target_accept_rate"),
    "max_tree_depth": ("max_treedepth", "max_num_doublings", "tree_depth"),
    "step_size": ("stepsize", "epsilon", "learning_rate", "step", "lr"),
    "steps": ("num_steps", "n_steps", "num_integration_steps", "num_leapfrog_steps", "k", "epochs", "num_epochs"),
    "particles": ("num_particles", "n_particles"),
    "temperatures": ("num_temperatures", "num_intermediate", "n_temperatures", "betas"),
    "batch_size": ("minibatch_size", "batchsize", "subsample_size"),
    "data": ("new_data", "predictions_data"),
    "optimizer": ("optim", "optimiser", "learning_rate", "lr"),
}
HINTS = {
    ("fit", "learning_rate"): "optimizer=optax.adam(...)",
    ("fit", "lr"): "optimizer=optax.adam(...)",
    ("fit", "epochs"): "steps=, the number of optimiser steps",
    ("fit", "num_epochs"): "steps=, the number of optimiser steps",
}
COUNTS = {"sample": "draws", "sample_prior": "draws", "log_z": "draws", "fit": "steps"}  # a bare number is meant so


def checked_settings[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """A function whose unknown settings, and those that have no place, are named with what they are called here.

    >>> @checked_settings
    ... def sample(*, draws=1): return draws
    >>> sample(num_samples=3)
    Traceback (most recent call last):
    gmdsl.core.errors.SpecError: sample(num_samples=...): there is no such setting. It is called draws here.
    """
    parameters, name = inspect.signature(function).parameters, getattr(function, "__name__", "function")
    places = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not kwargs.keys() <= parameters.keys():
            check_settings(name, parameters, kwargs)
        if len(args) > len(places):
            raise SpecError(_too_many(name, places, args[len(places)], parameters))
        return function(*args, **kwargs)

    return checked


def _too_many(name: str, places: list[str], given: Any, parameters: Mapping[str, inspect.Parameter]) -> str:
    """The message for an argument that has no place of its own."""
    text = repr(given) if isinstance(given, int | float | str) else type(given).__name__
    named = [n for n in parameters if n not in places and parameters[n].kind is inspect.Parameter.KEYWORD_ONLY]
    advice = f"; they are {', '.join(named)}" if named else ""
    if hint := count_hint(name, given):
        advice = f", as {hint}"
    first = f"{', '.join(places[:-1])} and {places[-1]}" if len(places) > 1 else places[0]
    verb = "come" if len(places) > 1 else "comes"
    return f"{name}(..., {text}): {first} {verb} by position; other settings are given by name{advice}."


def count_hint(name: str, given: Any) -> str:
    """How a bare whole number is given to a verb by name; empty where it is none, or nothing is counted there.

    >>> count_hint("sample", 1000)
    'draws=1000'
    """
    whole = isinstance(given, int) and not isinstance(given, bool)
    return f"{COUNTS[name]}={given}" if whole and name in COUNTS else ""


def check_settings(name: str, parameters: Mapping[str, inspect.Parameter], given: Mapping[str, Any]) -> None:
    """Refuses keyword arguments that a function or a class does not have.

    Args:
        name: what was called.
        parameters: its parameters.
        given: the keyword arguments.

    Raises:
        SpecError: names the setting that was meant, or all there are.
    """
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [n for n, p in parameters.items() if p.kind is not inspect.Parameter.POSITIONAL_ONLY and n != "self"]
    for setting in given:
        if setting not in known:
            raise SpecError(f"{name}({setting}=...): there is no such setting. {_advice(name, setting, known)}")


def _advice(name: str, setting: str, known: list[str]) -> str:
    if (name, setting) in HINTS:
        return f"Use {HINTS[name, setting]}."
    called = [here for here, elsewhere in ELSEWHERE.items() if setting in elsewhere and here in known]
    if called:
        return f"It is called {called[0]} here."
    if close := difflib.get_close_matches(setting, known, 1):
        return f"Did you mean {close[0]}?"
    return f"There are {', '.join(known)}." if known else "It has no settings."


class Checked:
    """A class whose unknown keyword arguments are named with what they are called here."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:
            parameters = inspect.signature(cls).parameters
            check_settings(cls.__name__, parameters, kwargs)
            for name, value in {**dict(zip(parameters, args, strict=False)), **kwargs}.items():
                _check_number(cls.__name__, name, parameters.get(name), value)
        return super().__new__(cls)

    def __check_init__(self) -> None:
        """Refuses fractions where a whole number was declared, after the checks of the class itself."""
        for name, kind in inspect.get_annotations(type(self)).items():
            if _NUMBERS.get(kind) == "whole number" and isinstance(value := getattr(self, name, None), float):
                raise SpecError(f"{type(self).__name__}({name}={value!r}): a whole number is needed.")


def _check_number(owner: str, name: str, parameter: inspect.Parameter | None, value: Any) -> None:
    """Refuses text and lists where a number is declared."""
    kind = None if parameter is None else _NUMBERS.get(parameter.annotation)
    if kind is not None and isinstance(value, str | bytes | list | tuple | dict):
        raise SpecError(f"{owner}({name}={value!r}): a {kind} is needed.")


_NUMBERS: dict[Any, str] = {int: "whole number", "int": "whole number", float: "number", "float": "number"}
