"""`gm.log_z`: log normalising constants, by a walk along a path, by copies on its rungs, or by a bridge from a run."""

from collections.abc import Sequence
from typing import Any, overload

from gmdsl.compiler.without_density import refuse_without_density
from gmdsl.core.errors import SpecError
from gmdsl.core.random.keys import checked_seed
from gmdsl.core.settings import checked_settings
from gmdsl.inference.generator import Generator
from gmdsl.inference.path import Path, PathSampler, ReplicaSampler
from gmdsl.inference.sampler import Sampler
from gmdsl.models.model import Model
from gmdsl.paths.thermodynamic_integration import ThermodynamicIntegration
from gmdsl.results.agreement import Agreement, repeated
from gmdsl.results.estimate import LogZ
from gmdsl.run.bridge import bridge_of_run, is_run
from gmdsl.run.populations.generators import generate
from gmdsl.run.populations.paths import run_population
from gmdsl.run.populations.replicas import LEAST, exchange_of, integral_of
from gmdsl.run.sample import sample
from gmdsl.run.targets import as_path, flat_target

type Method = PathSampler | ReplicaSampler | ThermodynamicIntegration | Generator


@overload
def log_z(path: Any, sampler: Method | Model, *, seed: int = 0, draws: int = 4096, repeats: int = 1) -> LogZ: ...
@overload
def log_z(path: Any, sampler: Sequence[Method], *, seed: int = 0, draws: int = 4096, repeats: int = 1) -> Agreement: ...
@checked_settings
def log_z(
    path: Any, sampler: Any = None, *, seed: int = 0, draws: int = 4096, repeats: int = 1, end: Any = None
) -> LogZ | Agreement:
    """The log normalising constant of the model at the end of a path, or of a model.

    Args:
        path: made by `gm.temper`, its reference normalised; a conditioned joint density, whose path leads from prior to
            posterior; a model for a generator of weighted draws; a finished run of `gm.sample`.
        sampler: `gm.SMC(gm.HMC())`, `gm.AIS(gm.MALA())`, `gm.ParallelTempering(gm.MALA())`,
            `gm.ThermodynamicIntegration(gm.MALA())`, or a list of them to compare; for a model
            `gm.LearnedReverseDiffusion(...)`; for a run the model that was sampled, whose constant is found by a bridge
            to a Gaussian.
        seed: the same seed gives the same estimate.
        draws: weighted draws of a generator, or draws of each of four chains of copies; path samplers have their own
            `particles`.
        repeats: independent estimates whose mean is taken; their spread goes into the error.
        end: for `gm.AIS`, draws of the target from which it walks back, so that `lower` and `upper` bracket log Z: a
            model to draw from, a tree of draws, or a dict of arrays. Draws that are correlated, or miss a part of the
            target, make the upper end too small.

    Returns:
        A `LogZ`, or for a list an `Agreement`.

    Raises:
        SpecError: the first argument is not a path (or model), the second not a sampler for it.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> path = gm.temper(gm.energy(lambda x: 0.5 * x**2, x=gm.Real()), gm.joint(x=dist.Normal(0, 2)))
    >>> z = gm.log_z(path, gm.AIS(gm.MALA(), particles=500, temperatures=20))
    >>> abs(z.log_z - 0.919) < 4 * z.standard_error
    True
    """
    if is_run(path) or is_run(sampler):
        return bridge_of_run(*((path, sampler) if is_run(path) else (sampler, path)), seed=seed)
    if sampler is None:
        raise SpecError(
            "log_z(...): a method is needed second, such as gm.SMC(gm.HMC()), or a list of them to compare."
        )
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise SpecError(f"log_z(repeats={repeats!r}): a whole number of at least 1 is needed.")
    target = path.target if isinstance(path, Path) else path
    if isinstance(target, Model):
        refuse_without_density("log_z(...)", target)
    seed = checked_seed("log_z", seed)
    if isinstance(sampler, list | tuple):
        if not sampler:
            raise SpecError("log_z(..., []): there is no method. Name at least one, such as gm.SMC(gm.HMC()).")
        for one in sampler:
            _check_method(one)
        rows = (log_z(path, one, seed=seed, draws=draws, repeats=repeats) for one in sampler)
        return Agreement(tuple(rows))
    _check_method(sampler)
    path = as_path(path, sampler)
    return repeated([_one(path, sampler, seed + number, draws, end) for number in range(repeats)])


def _check_method(sampler: Any) -> None:
    """Refuses a sampler that gives no constant, before any time is spent."""
    if isinstance(sampler, Sampler) and not isinstance(sampler, ReplicaSampler):
        kind = type(sampler).__name__
        raise SpecError(
            f"log_z(..., {kind}(...)): the draws of a chain carry no weights. Take it as the move of a population,"
            f" gm.SMC(gm.{kind}(...)) or gm.AIS, on a gm.temper path, or bridge from a finished run,"
            " gm.log_z(tree, model)."
        )


def _one(path: Any, sampler: Any, seed: int, draws: int, end: Any) -> LogZ:
    """One estimate."""
    if end is not None:
        from gmdsl.run.populations.bracket import bracketed

        return bracketed(path, sampler, end, seed)
    if isinstance(sampler, Generator):
        target = path.target if isinstance(path, Path) else path  # it needs no path, and stands beside what does
        made = generate(sampler, flat_target("log_z", target, sampler), draws=draws, seed=seed, progress=False)
        if "log_weight" not in made.stats:
            raise SpecError(f"log_z(..., {type(sampler).__name__}()): its draws carry no weights; Z stays unknown.")
        return made.log_z(type(sampler).__name__)
    if isinstance(sampler, ThermodynamicIntegration):
        return _by_integration(path, sampler, seed, draws)
    if isinstance(sampler, Sampler) and isinstance(path, Path):
        return _by_copies(path, sampler, seed, draws)
    return run_population("log_z", path, sampler, seed)[1]


def _by_copies(path: Path, sampler: Sampler, seed: int, draws: int) -> LogZ:
    """Bridges between the rungs of a run of four chains."""
    tree = sample(path, sampler, draws=draws, seed=seed, progress=False)
    found = exchange_of(path, sampler, tree)
    if found is None and draws < LEAST:
        raise SpecError(f"log_z(draws={draws}): at least {LEAST} draws of each chain are needed.")
    if found is None:
        raise SpecError(
            f"log_z(path, {type(sampler).__name__}(...)): it does not report log_ratio, swap_rate and round_trips, from"
            " which log Z is found. Take gm.ParallelTempering, or report them."
        )
    return found.log_z


def _by_integration(path: Any, sampler: ThermodynamicIntegration, seed: int, draws: int) -> LogZ:
    """An integral over the rungs of a run of four chains of copies that trade places."""
    from gmdsl.samplers.parallel_tempering import ParallelTempering

    if not isinstance(path, Path):
        raise SpecError(
            f"log_z(..., ThermodynamicIntegration(...)): a path is needed first, not {type(path).__name__}. Make one by"
            " gm.temper(model, reference)."
        )
    copies = ParallelTempering(sampler.move, sampler.betas, sampler.steps, adapt_ladder=False)
    tree = sample(path, copies, draws=draws, seed=seed, progress=False)
    return integral_of(path, copies, tree, repr(sampler))
