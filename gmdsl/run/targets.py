"""What takes what: a model, a noised family or a path, compiled to the flat thing that a sampler draws from.

Samplers take the flat density of a model, generators that or a flat family (`Generator.takes`), path samplers a flat
path. A pair that does not fit is refused here, in words, for `gm.sample`, `gm.log_z` and `init=` alike.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gmdsl.compiler.annealing import Annealing, annealing_of
from gmdsl.compiler.density import Density
from gmdsl.compiler.flat_path import compile_path
from gmdsl.compiler.replicas import on_rungs
from gmdsl.compiler.winding import density_of_chains
from gmdsl.compiler.without_density import WithFilledElements, WithoutElements
from gmdsl.core.errors import SpecError
from gmdsl.core.settings import count_hint
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.noised import Noised, same_variables
from gmdsl.diffusion.noisy_end import warn_of_far_end
from gmdsl.inference.generator import Generator
from gmdsl.inference.path import Path, PathSampler, ReplicaSampler
from gmdsl.inference.sampler import Sampler
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model
from gmdsl.paths.temper_data import temper_data
from gmdsl.paths.thermodynamic_integration import ThermodynamicIntegration


def as_path(model: Any, sampler: Any) -> Any:
    """What a sampler is given: for one that walks a path and a conditioned joint density, its path from the prior."""
    walks = isinstance(sampler, PathSampler | ReplicaSampler | ThermodynamicIntegration)
    return temper_data(model) if walks and isinstance(model, Model) and model.observed else model


def flat_target(operation: str, model: Any, sampler: Any, init: Any = None) -> Any:
    """What a generator or a path sampler draws from.

    Args:
        operation: what the user called, for messages.
        model: what was given first.
        sampler: what was given second.
        init: where a noised family begins: a model of its noisy end, or None.

    Raises:
        SpecError: the two do not fit, or a variable is discrete.
    """
    if isinstance(sampler, PathSampler):
        if not isinstance(model, Path):
            raise SpecError(
                f"{operation}(..., {type(sampler).__name__}(...)): a path is needed first, not {mistaken(model)}."
                " Make one by gm.temper(model, reference); a joint density conditioned on data has one."
            )
        return compile_path(model)
    if not isinstance(sampler, Generator):
        raise mismatch(operation, model, sampler)
    if issubclass(sampler.takes, FlatFamily):
        return _family(operation, model, sampler, init)
    if issubclass(sampler.takes, Annealing):
        return _annealing(operation, model, sampler, init)
    return _density(operation, model, sampler, init)


def chain_density(model: Any, sampler: Sampler, operation: str = "sample") -> Density:
    """The compiled model that chains of a sampler run on: of a model, or of the rungs of a path.

    Raises:
        SpecError: the two do not fit.
    """
    if isinstance(model, Path) and isinstance(sampler, ReplicaSampler):
        return on_rungs(model, sampler.betas)
    if isinstance(sampler, ReplicaSampler):
        raise SpecError(
            f"{operation}(..., {type(sampler).__name__}(...)): a path is needed first, not {mistaken(model)}. Make"
            " one by gm.temper(model, reference)."
        )
    if not isinstance(model, Model):
        raise mismatch(operation, model, sampler)
    density = density_of_chains(model)
    density.check_unbounded(operation)
    return _of_what_has_density(density, sampler, operation)


def _of_what_has_density(density: Density, sampler: Sampler, operation: str) -> Density:
    """The compiled model with chains that leave coordinates without density alone."""
    gone = density.gone
    if not gone.any():
        return density
    if gone.all():
        raise SpecError(
            f"{operation}(...): every element of {', '.join(density.free)} is masked and has no density; there is"
            " nothing to sample. Leave the mask out."
        )
    inner = getattr(sampler, "sampler", sampler)  # of one that was tuned
    if type(inner).bound is Sampler.bound:
        return Density(density.model, WithoutElements(density.moved, jnp.asarray(np.flatnonzero(~gone))))
    return Density(density.model, WithFilledElements(density.moved, jnp.asarray(gone)))


def mismatch(operation: str, model: Any, sampler: Any) -> SpecError:
    """The error for a first and a second argument that do not fit, or are nothing of the kind."""
    name = type(sampler).__name__
    if _is_of_numpyro(sampler):
        kernel = sampler.__name__ if isinstance(sampler, type) else name
        return SpecError(
            f"{operation}(..., {kernel}): it is NumPyro's. Use a sampler of gm, such as gm.NUTS(), or wrap the class of"
            " a kernel, gm.from_numpyro(numpyro.infer.NUTS, max_tree_depth=8)."
        )
    if isinstance(sampler, type):
        return SpecError(f"{operation}(...): {sampler.__name__} is a class. Pass an instance, {sampler.__name__}().")
    given = repr(sampler) if isinstance(sampler, int | float | str) else name
    if isinstance(model, Path):
        return SpecError(
            f"{operation}(path, ...): a path sampler is needed, not {given}. Try gm.AIS(gm.MALA()), or a"
            f" ReplicaSampler of your own.{_by_name(operation, sampler)}"
        )
    if isinstance(model, Noised):
        return SpecError(f"{operation}(family, {name}): a noised family is sampled backwards. Try gm.ReverseSDE().")
    if not isinstance(model, Model):
        return SpecError(
            f"{operation}(...): a model is needed first, not {mistaken(model)}. Make one by gm.joint or gm.energy;"
            " gm.from_numpyro_model takes a NumPyro function."
        )
    if isinstance(sampler, Sampler) and operation == "log_z":
        return SpecError(
            f"log_z(model, {name}): the draws of a chain carry no weights. Try gm.AIS on a gm.temper path."
        )
    usual = "gm.AIS(gm.MALA()) on a gm.temper path" if operation == "log_z" else "gm.NUTS()"
    return SpecError(
        f"{operation}(...): a sampler is needed second, not {given}. Try {usual}.{_by_name(operation, sampler)}"
    )


def _by_name(operation: str, given: Any) -> str:
    """A sentence on how a bare number is given."""
    hint = count_hint(operation, given)
    return f" A number of draws is given by name, {hint}." if hint else ""


def _is_of_numpyro(sampler: Any) -> bool:
    kind = sampler if isinstance(sampler, type) else type(sampler)
    return kind.__module__.startswith("numpyro.infer")


def _family(operation: str, model: Any, generator: Generator, init: Any) -> FlatFamily:
    """A flat family run backwards, started where the user says."""
    name = type(generator).__name__
    if not isinstance(model, Noised):
        raise SpecError(
            f"{operation}({type(model).__name__}, {name}()): {name} runs a noised family backwards. Make one by"
            " gm.noise(model, process) or gm.score_model(process, net, ...)."
        )
    flat = model.flat
    if init is None:
        warn_of_far_end(f"{operation}(..., {name}())", model, "init=")
        return flat
    if not isinstance(init, Model) or not same_variables(init, model) or not init.capabilities().drawable:
        raise SpecError(
            f"sample(init=...): a drawable model of {', '.join(model.free)} is needed, the law at t_max, such as"
            " family.at(family.process.t_max)."
        )
    return FlatFamily(flat.process, flat.denoiser, flat.layout, init)


def _annealing(operation: str, model: Any, generator: Generator, init: Any) -> Annealing:
    """The densities of a model or a path, and their powers."""
    name = type(generator).__name__
    if not isinstance(model, Model | Path):
        raise SpecError(f"{operation}({type(model).__name__}, {name}(...)): a model or a path is needed first.")
    if init is not None:
        raise SpecError(
            f"sample(..., {name}(...), init=...): {name} chooses its own starts. To choose them, give a path whose"
            " reference they are drawn from, gm.temper(model, reference)."
        )
    target = model.target if isinstance(model, Path) else model
    if not Density(target).free:
        raise SpecError(f"{operation}(..., {name}(...)): every variable is observed; there is nothing to move.")
    return annealing_of(model)


def _density(operation: str, model: Any, generator: Generator, init: Any) -> Any:
    """The flat density of a model of real variables."""
    name = type(generator).__name__
    if not isinstance(model, Model):
        raise SpecError(
            f"{operation}({type(model).__name__}, {name}()): a model is needed first, such as gm.energy(...)."
        )
    if init is not None:
        raise SpecError(f"sample(..., {name}(), init=...): {name} chooses its own starts. Leave init= out.")
    density = Density(model)
    discrete = [variable for variable in density.free if density.spaces[variable].discrete]
    if discrete or not density.free:
        what = f"{discrete[0]} is discrete" if discrete else "every variable is observed"
        raise SpecError(f"sample(..., {name}()): {what}; {name} makes real numbers only. Marginalise it first.")
    return WithFilledElements(density.target, jnp.asarray(density.gone)) if density.gone.any() else density.target
