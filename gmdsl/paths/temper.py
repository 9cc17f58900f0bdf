r"""The geometric path from a reference to a model, $\log\pi_\beta = (1 - \beta) \log q + \beta \log p$.

For an energy times its reference, $p \propto e^{f} q$, this is $\pi_\beta \propto e^{\beta f} q$: tempering.

Reference:
    Kirkpatrick, Gelatt and Vecchi, *Optimization by simulated annealing*, 1983; Gelman and Meng,
    *Simulating normalizing constants*, 1998 (geometric paths).
"""

from gmdsl.core.errors import SpecError
from gmdsl.inference.interpolation import Geometric, Interpolation
from gmdsl.inference.path import Path
from gmdsl.models.declare.uniform import uniform
from gmdsl.models.mistaken import mistaken
from gmdsl.models.model import Model


def temper(target: Model, reference: Model | None = None, interpolation: Interpolation = Geometric()) -> Path:  # noqa: B008
    """The path from a reference to a model.

    Args:
        target: the model at beta = 1, normalised or not.
        reference: the model at beta = 0: normalised, drawable, of the same free variables and spaces. Discrete
            variables need none: all states are equally likely then (`gm.uniform`).
        interpolation: the densities between, such as `gm.QPath(0.5)`; the geometric ones by default.

    Raises:
        SpecError: the reference cannot be drawn from, or the variables differ.

    >>> import gmdsl as gm, numpyro.distributions as dist
    >>> path = gm.temper(gm.energy(lambda x: x**4, x=gm.Real()), gm.joint(x=dist.Normal(0, 1)))
    >>> path.target.free
    ('x',)
    """
    if reference is None:
        reference = _equally_likely(target)
    for name, model in (("target", target), ("reference", reference)):
        if not isinstance(model, Model):
            raise SpecError(f"temper({name}=...): a model is needed, not {mistaken(model)}. Make one by gm.joint.")
    offer = reference.capabilities()
    if not (offer.normalized and offer.drawable):
        reason = offer.reasons.get("drawable") or offer.reasons["normalized"]
        raise SpecError(f"temper(..., reference): {reason}. The reference must be normalised and drawable.")
    if set(target.free) != set(reference.free):
        raise SpecError(
            f"temper(...): the target has {', '.join(target.free)}, the reference {', '.join(reference.free)}."
            " Give both the same free variables."
        )
    for name in target.free:
        mine, other = target.spaces[name], reference.spaces[name]
        if mine != other:
            raise SpecError(
                f"temper(...): {name} lives in {mine.title} in the target, in {other.title} in the reference."
                " Give both one space."
            )
    if not isinstance(interpolation, Interpolation):
        raise SpecError(
            f"temper(interpolation=...): densities between two models are needed, not"
            f" {mistaken(interpolation)}. Pass gm.QPath(0.5), say."
        )
    return Path(target, reference, interpolation)


def _equally_likely(target: Model) -> Model:
    """The reference of a model of finitely many states."""
    if not isinstance(target, Model):
        raise SpecError(f"temper(target=...): a model is needed, not {mistaken(target)}. Make one by gm.joint.")
    spaces = {name: target.spaces[name] for name in target.free}
    endless = [name for name, space in spaces.items() if not space.discrete or space.cardinality is None]
    if endless or not spaces:
        raise SpecError(
            f"temper(target): a reference is needed for {endless[0] if endless else 'a model without free variables'}."
            " Give a normalised model of the same variables, gm.temper(target, reference); a conditioned joint density"
            " has its prior, gm.temper_data(posterior)."
        )
    return uniform(**spaces)
