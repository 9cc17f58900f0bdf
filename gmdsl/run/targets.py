"""What takes what: the flat thing that a sampler, a generator or a path sampler draws from."""

from typing import Any

from gmdsl.compiler.density import Density
from gmdsl.core.errors import SpecError
from gmdsl.diffusion.flat_family import FlatFamily
from gmdsl.diffusion.noised import Noised, same_variables
from gmdsl.inference.generator import Generator
from gmdsl.models.model import Model


def generator_target(model: Any, generator: Generator, init: Any) -> Any:
    """What a generator draws from: the flat family run backwards, or the flat density of a model."""
    name = type(generator).__name__
    if generator.reverses:
        if not isinstance(model, Noised):
            raise SpecError(
                f"sample({type(model).__name__}, {name}()): {name} runs a noised family backwards. Make one by"
                " gm.noise(model, process) or gm.score_model(process, net, ...)."
            )
        return _family_from(model, init)
    if not isinstance(model, Model):
        raise SpecError(f"sample({type(model).__name__}, {name}()): a model is needed first, such as gm.energy(...).")
    if init is not None:
        raise SpecError(f"sample(..., {name}(), init=...): {name} chooses its own starts. Leave init= out.")
    density = Density(model)
    discrete = [variable for variable in density.free if density.spaces[variable].discrete]
    if discrete or not density.free:
        what = f"{discrete[0]} is discrete" if discrete else "every variable is observed"
        raise SpecError(f"sample(..., {name}()): {what}; {name} makes real numbers only. Marginalise it first.")
    return density.target


def _family_from(model: Noised, init: Any) -> Any:
    """The flat family, started where the user says: a model at `t_max`."""
    if init is None:
        return model.flat
    if not isinstance(init, Model) or not same_variables(init, model) or not init.capabilities().drawable:
        raise SpecError(
            f"sample(init=...): a drawable model of {', '.join(model.free)} is needed, the law at t_max, such as"
            " family.at(family.process.t_max)."
        )
    flat = model.flat
    return FlatFamily(flat.process, flat.denoiser, flat.layout, init)
