r"""`noise`: a noised family in closed form.

`gm.noise(model, process)` adds the factor $p(x_t \mid x_0)$ to a model and marginalises $x_0$ exactly.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gmdsl.core.errors import SpecError
from gmdsl.core.user_arrays import as_numbers
from gmdsl.diffusion.denoisers.empirical import EmpiricalDenoiser
from gmdsl.diffusion.denoisers.gaussian_mixture import GaussianMixtureDenoiser
from gmdsl.diffusion.noised import Noised
from gmdsl.diffusion.process import Process
from gmdsl.exact.gaussian.from_model import gaussian_mixture
from gmdsl.graph.factors.empirical import EmpiricalFactor
from gmdsl.models.model import Model
from gmdsl.spaces.space import Real


def noise(model: Any, process: Process, *, variables: Any = None) -> Noised:
    """A model, or a data set, under a forward process: exact densities, scores and denoisers at every time.

    Args:
        model: a model that is a Gaussian mixture in closed form (mixtures, Gaussians, linear-Gaussian joints), or
            a data set: an array of one datum per row (the variable is then x), or a dict of such arrays.
        process: how noise is added, such as `gm.VP()`.
        variables: names of the variables that are noised: all free ones, which is also what None means.

    Raises:
        SpecError: a variable that is not real, or a model without a closed form.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> noised = gm.noise(gm.joint(x=dist.Normal(1.0, 2.0)), gm.Brownian(1.0, t_max=5.0))
    >>> round(float(noised.score(6.0, 5.0)) * 9, 4)
    -5.0
    """
    if not isinstance(process, Process):
        given = process.__name__ if isinstance(process, type) else type(process).__name__
        raise SpecError(f"noise(model, {given}): a process is needed second, such as gm.VP().")
    if not isinstance(model, Model):
        return _of_data(model, process)
    for name in model.free:
        space = model.spaces[name]
        if not isinstance(space, Real):
            sum_out = f"Sum it out first, noise(model.marginalize({name!r}), ...), or"
            way = f"{sum_out} condition on it" if space.discrete else f"Declare {name} on the real line"
            raise SpecError(f"noise(...): {name} lives in {space.title}; noise is added to real variables only. {way}.")
    found = gaussian_mixture(model)
    if found is None:
        if any(isinstance(factor, EmpiricalFactor) for factor in model.factors):
            raise SpecError("noise(...): a data set is given by its arrays, gm.noise({'x': data}, ...).")
        raise SpecError(
            "noise(...): the noised density has no closed form here; it has for Gaussian mixtures, linear-Gaussian"
            " models and data sets. Learn the score of draws, gm.score_model(...) with gm.DenoisingScoreMatching(),"
            " or sample the model by gm.LearnedReverseDiffusion(...)."
        )
    declared = tuple((name, model.spaces[name]) for name in model.free)
    _check_variables(variables, declared)
    return Noised(process, GaussianMixtureDenoiser(found.log_weights, found.means, found.covariances), declared, model)


def _of_data(data: Any, process: Process) -> Noised:
    named = data if isinstance(data, Mapping) else {"x": data}
    arrays = {name: as_numbers(f"noise({name})", values).astype(float) for name, values in named.items()}
    lengths = {name: len(a) if a.ndim else 0 for name, a in arrays.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise SpecError(f"noise(data, ...): the lengths are {lengths}. Give each variable one row per datum.")
    declared = tuple((name, Real(*a.shape[1:])) for name, a in arrays.items())
    points = np.concatenate([a.reshape(len(a), -1) for a in arrays.values()], axis=1)
    return Noised(process, EmpiricalDenoiser(jax.numpy.asarray(points, float)), declared)


def _check_variables(variables: Any, declared: Any) -> None:
    names = [name for name, _ in declared]
    for name in variables or names:
        if name not in names:
            raise SpecError(f"noise(variables=...): there is no free {name}; those are {', '.join(names)}.")
    left = [name for name in names if name not in (variables or names)]
    if left:
        raise SpecError(
            f"noise(variables=...): {left[0]} would stay without noise. Integrate it out, .marginalize({left[0]!r}),"
            f" or observe it, .condition({left[0]}=...), so that the noised variables are the free ones."
        )
