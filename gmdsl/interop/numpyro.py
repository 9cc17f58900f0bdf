"""A NumPyro model as a gmdsl model: one conditional over all its sample sites.

The model function is run by NumPyro's handlers at each evaluation; its supports, plates, masks, scans and scales are
NumPyro's. Arrays among the arguments are data of the model: new ones of one shape compile nothing. What was built is
compared with NumPyro's own density when it is declared.
"""

import dataclasses
import inspect
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gmdsl.core.pytrees.function import Function
from gmdsl.core.user_arrays import as_numbers
from gmdsl.graph.factor import Call, Deterministic
from gmdsl.graph.names import RESERVED
from gmdsl.interop.numpyro_arguments import arguments_as_read, observed_by, read_elsewhere, with_constants
from gmdsl.interop.numpyro_check import check_density
from gmdsl.interop.numpyro_domains import guards, refuse_outside
from gmdsl.interop.numpyro_program import DeterministicSite, NumPyroProgram, read_alone
from gmdsl.interop.numpyro_sites import Sites
from gmdsl.interop.numpyro_trace import TracedModel
from gmdsl.models.model import Model
from gmdsl.models.probe.indices import check_fixed_indices, check_indices, check_labels
from gmdsl.spaces.space import Real, Space, abstract


def from_numpyro_model(model: Callable[..., Any], *args: Any, **kwargs: Any) -> Model:
    """A NumPyro model function as a gmdsl model, observed where it observes.

    Names of plates become names of dimensions. An observed value that is computed of a latent one is a term of the
    density and no variable.

    Args:
        model: the function, with `numpyro.sample` statements.
        args: its arguments; arrays become data of the model, by the name of the argument. An array that the function
            reads as a NumPy array (`np.unique(group)`) and a data frame are fixed.
        kwargs: its keyword arguments.

    Raises:
        SpecError: the model has no sample site, has `numpyro.param` sites (use `gm.param`) or a plate of subsamples,
            asks for random numbers, chooses its sites by random values, has parameters that are outside of their
            constraint anyway, or has another density than NumPyro says.

    >>> import numpyro, numpyro.distributions as dist, gmdsl as gm
    >>> def coin(y):
    ...     p = numpyro.sample("p", dist.Beta(2.0, 2.0))
    ...     numpyro.sample("y", dist.Bernoulli(p).expand([3]), obs=y)
    >>> gm.from_numpyro_model(coin, np.array([1, 0, 1])).free
    ('p',)
    """
    _bind_submodules()
    label = getattr(model, "__name__", "model")
    function = Function(model)
    arguments = dict(inspect.signature(model).bind(*args, **kwargs).arguments)
    with _unvalidated():  # of points that are tried; what is outside is told below
        sites = Sites.of(label, TracedModel(function, arguments, ()))
        refuse_outside(f"from_numpyro_model({label})", sites)
        tied = observed_by(sites, arguments)
        fixed, data = arguments_as_read(sites, arguments, tied)
        redrawn = not any(read_elsewhere(sites, arguments, name, site) for name, site in tied.items())
    read = tuple((name, tied.get(name, name)) for name in arguments if name in tied or name in data)
    read = tuple(pair for pair in read if pair[0] not in fixed)
    held = {n: with_constants(fixed.get(n, v)) for n, v in arguments.items() if n not in data}
    traced = TracedModel(function, held, read)
    frozen = tuple((name, tied[name]) for name in fixed if name in tied)
    names = tuple((n, n) for n in sites.variables)
    program = NumPyroProgram(traced, names, label, sites.proper, redrawn, frozen, sites.masked)
    check_density(program, sites, data)
    spaces: dict[str, Space] = {name: sites.space(name) for name in sites.variables}
    program = _guarded(program, data, spaces, sites.free)
    factors: list[Any] = [program]
    reads = (*data, *(() if redrawn else tied.values()), *sites.free)
    for name, site in sites.found.items():
        if site["type"] == "deterministic":
            spaces[name] = Real(*np.shape(site["value"]))
            made = read_alone(DeterministicSite(program, name, reads), {**data, **sites.observed, **sites.points()[0]})
            factors.append(Deterministic(name, Call(made, tuple(("", n) for n in made.reads))))
    built = Model(
        factors=tuple(factors),
        declared=tuple(spaces.items()),
        observed={n: as_numbers(f"{label}: {n}", value) for n, value in sites.observed.items()},
        data=data,
        dims=sites.dims({*spaces, *data, *RESERVED}),
    )
    _check_indices(f"from_numpyro_model({label})", built)
    return built


def _unvalidated() -> Any:
    """NumPyro's checks of parameters and values switched off."""
    import numpyro

    return numpyro.validation_enabled(False)


def _check_indices(where: str, built: Model) -> None:
    """Refuses indices out of range, those of data, of the function and of free labels."""
    check_indices(where, built, built.data)
    check_fixed_indices(where, built)
    check_labels(where, built)


def _guarded(program: NumPyroProgram, data: dict[str, Any], spaces: dict[str, Space], free: tuple[str, ...]) -> Any:
    """The program without density where parameters are outside of their constraint."""
    shapes: dict[str, Any] = {name: jax.eval_shape(lambda a: a, jax.numpy.asarray(a)) for name, a in data.items()}
    shapes |= {name: abstract(space) for name, space in spaces.items()}
    return dataclasses.replace(program, guarded=guards(program, shapes, {name: spaces[name] for name in free}))


def _bind_submodules() -> None:
    """Binds NumPyro's loaded submodules to their packages.

    When ArviZ is imported first, it leaves a lazy `numpyro` behind; importing `numpyro.distributions`
    through it loads the submodules without binding them, and `numpyro.factor` then fails.
    """
    for name, module in list(sys.modules.items()):
        package, _, child = name.rpartition(".")
        if name.startswith("numpyro.") and package in sys.modules and not hasattr(sys.modules[package], child):
            setattr(sys.modules[package], child, module)
