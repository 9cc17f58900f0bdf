r"""Guides: normalised models of hidden variables given the observed ones, $q(z \mid x)$.

A guide is a model whose inputs are the data. Declared in short by `gm.given("x", encoder)` when there is one hidden
variable, in full by `gm.joint(x=gm.input(...), z=..., w=...)` when there are several.
"""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float

from gmdsl.core.errors import SpecError
from gmdsl.graph.ancestral import complete
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.evaluate import log_density
from gmdsl.graph.nodes import Given, Input
from gmdsl.models.declare.joint import joint
from gmdsl.models.model import Model


class Guided(eqx.Module):
    """A model and its guide, learned together.

    Attributes:
        model: the joint density.
        guide: a model of the hidden variables whose inputs are the data; condition it on a datum to use it.
    """

    model: Model
    guide: Model


def as_guide(operation: str, guide: Any, model: Model) -> Model:
    """The guide of a model as a model with inputs, checked; it may read the inputs of the model beside the data.

    Inputs that the model has bound are bound in the guide, too.

    Raises:
        SpecError: other variables than the model's, another support, or a guide that is not normalised.
    """
    bound = dict(model.bound)
    known = {**{name: model.spaces[name] for name in model.free}, **dict(model.inputs), **bound}
    if isinstance(guide, Given):
        unknown = [name for name in guide.variables if name not in known]
        hidden = [name for name in model.free if name not in guide.variables]
        if unknown or len(hidden) != 1:
            what = f"there is no {unknown[0]}" if unknown else f"{', '.join(hidden) or 'nothing'} would be hidden"
            raise SpecError(
                f"{operation}: gm.given({', '.join(map(repr, guide.variables))}, ...) makes one variable, but {what}."
                " Declare the guide as gm.joint(x=gm.input(...), ...) over all hidden variables."
            )
        inputs = {name: Input(known[name]) for name in guide.variables}
        guide = joint({**inputs, hidden[0]: guide})
    if not isinstance(guide, Model):
        raise SpecError(f'{operation}: a guide is gm.given("x", encoder) or a model, not {type(guide).__name__}.')
    guide = guide.condition({name: model.data[name] for name, _ in guide.inputs if name in bound})
    given = [name for name, _ in guide.inputs]
    made, read = set(guide.free), set(given) - {name for name, _ in model.inputs}
    if made | read != set(model.free) or made & set(given):
        more = f" and the inputs {', '.join(name for name, _ in model.inputs)}" if model.inputs else ""
        raise SpecError(
            f"{operation}: the guide makes {', '.join(guide.free)} from {', '.join(given) or 'nothing'}, but the model"
            f" has {', '.join(model.free)}{more}. What it makes and what it reads must be all of them."
        )
    stuck = [f.name for f in guide.factors if isinstance(f, Conditional) and not (f.normalized and f.drawable)]
    if stuck or any(not f.children for f in guide.factors):
        raise SpecError(f"{operation}: the guide must be normalised and drawable. Make it of distributions only.")
    for name in guide.free:
        if guide.spaces[name] != model.spaces[name]:
            raise SpecError(
                f"{operation}: {name} lives in {guide.spaces[name].title} in the guide, in"
                f" {model.spaces[name].title} in the model. Give the guide's distribution that support."
            )
    return guide


def log_ratio(learned: Guided, key: Array, datum: Any) -> Float[Array, ""]:
    r"""$\log p(x, z) - \log q(z \mid x)$ at one draw of the guide; its mean is the bound, its exponential's p(x)."""
    drawn = complete(learned.guide, key, datum)
    hidden = {name: drawn[name] for name in learned.guide.free}
    return log_density(learned.model, {**datum, **hidden}) - log_density(learned.guide, {**datum, **hidden})


def reparametrised(guide: Model, datum: Any) -> list[str]:
    """Hidden variables whose draws carry no gradient of the guide's parameters."""
    from gmdsl.graph.factors.distributed import Distributed

    found: list[str] = []

    def look(datum: Any) -> Any:
        drawn = complete(guide, jax.random.key(0), datum)
        made = [factor for factor in guide.factors if isinstance(factor, Distributed)]
        found.extend(factor.child for factor in made if not factor.distribution(drawn).has_rsample)
        return drawn

    jax.eval_shape(look, datum)
    return found
