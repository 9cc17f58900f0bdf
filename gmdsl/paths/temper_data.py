r"""The path from prior to posterior, $\pi_\beta(z) \propto p(z)\, p(y \mid z)^\beta$: the data count more and more.

It is the geometric path from the prior to $p(y, z)$ as a density of z, so its log Z is the log evidence $\log p(y)$.

Reference:
    Neal, *Annealed importance sampling*, 2001, section 4; Friel and Pettitt, *Marginal likelihood estimation via power
    posteriors*, JRSS B 70, 2008.
"""

import dataclasses
import functools
import operator

from gmdsl.core.errors import SpecError
from gmdsl.inference.interpolation import Geometric, Interpolation
from gmdsl.inference.path import Path
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model


def temper_data(posterior: Model, interpolation: Interpolation = Geometric()) -> Path:  # noqa: B008
    """The path from the prior of a conditioned joint density to its posterior.

    Args:
        posterior: a normalised joint density that can be drawn from, conditioned on data.
        interpolation: the densities between; the geometric ones weigh the likelihood by beta.

    Raises:
        SpecError: nothing is observed or nothing is free, the joint density is not normalised.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> joint = gm.joint(z=dist.Normal(0, 1), y=lambda z: dist.Normal(z, 1))
    >>> path = gm.temper_data(joint.condition(y=1.0))
    >>> path.reference.free
    ('z',)
    """
    if not isinstance(posterior, Model):
        raise SpecError(f"temper_data(...): a model is needed, not {mistaken(posterior)}. Make one by gm.joint.")
    if not posterior.free:
        raise SpecError("temper_data(...): nothing is free. The density itself is gm.compile(model).log_density.")
    return Path(posterior, prior_of("temper_data", posterior), interpolation)


def prior_of(operation: str, posterior: Model) -> Model:
    """The law of the free variables before anything that depends on them was observed.

    Observed variables that the free ones depend on keep their values.

    Args:
        operation: what the user called, for messages.
        posterior: a conditioned joint density.

    Raises:
        SpecError: nothing is observed, or the joint density is not normalised.
    """
    if not posterior.observed:
        raise SpecError(
            f"{operation}(...): nothing is observed, so there is no prior to begin with. Condition the model on its"
            " data, or name the reference, gm.temper(model, reference)."
        )
    joint = dataclasses.replace(posterior, observed={})
    offer = joint.capabilities()
    if not offer.normalized:
        raise SpecError(
            f"{operation}(...): {offer.reasons['normalized']}. Name a normalised reference, gm.temper(model,"
            " reference). Estimate both constants by gm.log_z where their ratio is wanted."
        )
    if not any(child in posterior.free for name in posterior.observed for child in _children(posterior, name)):
        return joint.marginalize(*posterior.observed)
    parts = [part for part in joint.factorize() if set(part.free) & set(posterior.free)]
    prior = functools.reduce(operator.mul, parts)
    return prior.condition({name: value for name, value in posterior.observed.items() if name in dict(prior.inputs)})


def _children(model: Model, name: str) -> set[str]:
    """Variables whose conditionals read one."""
    return {child for factor in model.factors if name in factor.parents for child in factor.children}
