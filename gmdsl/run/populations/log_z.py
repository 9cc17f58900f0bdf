"""Running a path sampler: log Z with its standard error, or draws in an ArviZ tree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from gmdsl.compiler.without_density import refuse_without_density
from gmdsl.core.errors import SpecError
from gmdsl.core.settings import checked_settings
from gmdsl.inference.generator import Generator
from gmdsl.inference.path import Path, PathSampler
from gmdsl.models.model import Model
from gmdsl.results.estimate import LogZ
from gmdsl.run.populations.generators import generate
from gmdsl.run.populations.paths import run_population
from gmdsl.run.targets import flat_target


@dataclass(frozen=True)
class Agreement:
    """Estimates of one log Z by several methods, and the largest gap between two in standard errors."""

    rows: tuple[LogZ, ...]

    @property
    def worst(self) -> float:
        """The largest gap between two estimates, in standard errors of their difference."""
        gaps = [
            abs(a.log_z - b.log_z) / np.hypot(a.standard_error, b.standard_error)
            for i, a in enumerate(self.rows)
            for b in self.rows[:i]
        ]
        return float(max(gaps, default=0.0))

    def __str__(self) -> str:
        lines = [f"{'method':<40}{'log Z':>10}{'se':>9}{'ESS':>9}  status"]
        lines += [
            f"{r.method[:38]:<40}{r.log_z:>10.3f}{r.standard_error:>9.3f}{r.ess:>9.0f}  {r.status}" for r in self.rows
        ]
        return "\n".join([*lines, f"largest gap: {self.worst:.1f} standard errors"])


@overload
def log_z(path: Path | Model, sampler: PathSampler | Generator, *, seed: int = 0, draws: int = 4096) -> LogZ: ...
@overload
def log_z(
    path: Path | Model, sampler: Sequence[PathSampler | Generator], *, seed: int = 0, draws: int = 4096
) -> Agreement: ...
@checked_settings
def log_z(path: Any, sampler: Any, *, seed: int = 0, draws: int = 4096) -> LogZ | Agreement:
    """The log normalising constant of the model at the end of a path, or of a model.

    Args:
        path: made by `gm.temper`, its reference normalised; a model for a generator of weighted draws.
        sampler: a path sampler such as `gm.AIS(gm.MALA())`, or a list of them to compare; for a model
            `gm.LearnedReverseDiffusion(...)`.
        seed: the same seed gives the same estimate.
        draws: weighted draws of a generator; path samplers have their own `particles`.

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
    target = path.target if isinstance(path, Path) else path
    if isinstance(target, Model):
        refuse_without_density("log_z(...)", target)
    if isinstance(sampler, list | tuple):
        return Agreement(tuple(log_z(path, one, seed=seed, draws=draws) for one in sampler))
    if isinstance(sampler, Generator):
        made = generate(sampler, flat_target("log_z", target, sampler), draws=draws, seed=seed, progress=False)
        if "log_weight" not in made.stats:
            raise SpecError(f"log_z(..., {type(sampler).__name__}()): its draws carry no weights; Z stays unknown.")
        return made.log_z(type(sampler).__name__)
    return run_population("log_z", path, sampler, seed)[1]
