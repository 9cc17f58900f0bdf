r"""`gm.log_marginal`: the log evidence of observed data, hidden variables integrated out by weighted particles.

$p(x) = \int p(x, z)\, dz$ is the normalising constant of $p(x, z)$ as a density of z. A path leads to it from the
prior, or from a guide. Weights are unbiased for p(x); their logarithm falls short of log p(x) on average.

Reference:
    Neal, *Annealed importance sampling*, 2001; Wu, Burda, Salakhutdinov, Grosse, *On the quantitative analysis of
    decoder-based generative models*, 2017, arXiv:1611.04273.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from gmdsl.compiler.without_density import refuse_without_density
from gmdsl.core.errors import SpecError, unknown_name
from gmdsl.core.random.keys import checked_seed, row_seed
from gmdsl.core.settings import checked_settings
from gmdsl.inference.path import Path, PathSampler
from gmdsl.learning.guide import as_guide
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model
from gmdsl.paths.importance import ImportanceSampling
from gmdsl.paths.temper_data import prior_of
from gmdsl.results.estimate import LogZ
from gmdsl.run.log_z import log_z


@checked_settings
def log_marginal(
    model: Model,
    values: Mapping[str, Any] | None = None,
    /,
    *,
    method: PathSampler,
    guide: Any = None,
    seed: int = 0,
    **named: Any,
) -> LogZ | list[LogZ]:
    """The log marginal likelihood of data under a model with hidden variables, in nats.

    Args:
        model: a normalised joint density that can be drawn from; what is observed in it already counts as data.
        values: data by name, for names that are not identifiers.
        method: a path sampler, `gm.AIS(gm.HMC())` or `gm.ImportanceSampling()`.
        guide: where particles come from, `gm.given("x", encoder)` or a model with the data as inputs
            (`fit.learned.guide`); the prior of the hidden variables when None.
        seed: the same seed gives the same estimate.
        named: data by name, inputs included: one datum, or one per row, each estimated on its own.

    Returns:
        A `LogZ`, a list of them for rows: `log_z` is the estimate, with `standard_error`, `ess` and `status`.

    Raises:
        SpecError: the model is not normalised, nothing is hidden, names or shapes that do not fit.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> model = gm.joint(z=dist.Normal(0, 1), x=lambda z: dist.Normal(z, 1))
    >>> found = gm.log_marginal(model, x=1.0, method=gm.ImportanceSampling())
    >>> abs(found.log_z + 1.5155) < 4 * found.standard_error
    True
    """
    if not isinstance(model, Model):
        raise SpecError(f"log_marginal(...): a model is needed first, not {mistaken(model)}.")
    data = {**(values or {}), **named}
    spaces = {**{name: model.spaces[name] for name in model.free}, **dict(model.inputs)}
    for name in data:
        if name not in spaces:
            raise unknown_name(f"log_marginal({name}=...)", name, spaces, "free variables")
    proposal = None if guide is None else as_guide("log_marginal(guide=...)", guide, _find_unobserved(model))
    many = [name for name, value in data.items() if np.ndim(value) == len(spaces[name].shape) + 1]
    if not many:
        return _one(model, data, proposal, method, seed)
    lengths = {name: len(value) if np.ndim(value) else 1 for name, value in data.items()}
    if len(many) != len(data) or len(set(lengths.values())) > 1:
        raise SpecError(
            f"log_marginal(...): the lengths differ, {lengths}. Give one datum, or one row per datum to each."
        )
    seed = checked_seed("log_marginal", seed)
    rows = range(len(data[many[0]]))
    return [_one(model, {n: v[i] for n, v in data.items()}, proposal, method, row_seed(seed, i)) for i in rows]


def _one(model: Model, datum: Mapping[str, Any], proposal: Model | None, method: PathSampler, seed: int) -> LogZ:
    posterior = model.condition(datum)
    if not posterior.free:
        raise SpecError("log_marginal(...): nothing is hidden. The density itself is gm.compile(model).log_density.")
    if not posterior.observed:
        raise SpecError(
            "log_marginal(...): nothing is observed. Name the data, as in log_marginal(model, x=image, ...)."
        )
    discrete = [name for name in posterior.free if posterior.spaces[name].discrete]
    if discrete and not isinstance(method, ImportanceSampling):
        raise SpecError(
            f"log_marginal(..., method={type(method).__name__}(...)): {discrete[0]} is discrete, and its moves are"
            f" of real numbers. Sum it out, .marginalize({discrete[0]!r}), or use gm.ImportanceSampling()."
        )
    refuse_without_density("log_marginal(...)", posterior)
    if proposal is None:
        reference = prior_of("log_marginal", posterior)
    else:
        known = {**posterior.data, **posterior.observed}
        reference = proposal.condition({name: known[name] for name, _ in proposal.inputs})
    return log_z(Path(posterior, reference), method, seed=seed)


def _find_unobserved(model: Model) -> Model:
    return dataclasses.replace(model, observed={})
