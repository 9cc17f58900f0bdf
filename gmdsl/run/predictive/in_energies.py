r"""Draws of observed variables that stand in energies, exactly, where their states can be summed.

Given the free variables $\theta$, observed variables y and labels k that were summed out have the law
$p(y, k \mid \theta) \propto \prod_c \psi_c(y, k, \theta)$. Conditionals of it that nothing else reads integrate to one
and are left out; what is then left is discrete, and is drawn by variable elimination, or from a list of its states.
The conditionals follow in order.

Reference:
    Koller and Friedman, *Probabilistic Graphical Models*, 2009, section 9.3.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array

from gmdsl.core.errors import SpecError
from gmdsl.core.runtime.precision import full_precision
from gmdsl.exact.elimination.blocks import LEAST
from gmdsl.exact.elimination.states import states
from gmdsl.exact.marginal import MarginalEnergy
from gmdsl.graph.ancestral import complete
from gmdsl.graph.conditional import Conditional
from gmdsl.graph.evaluate import log_density
from gmdsl.graph.factor import Deterministic, Undirected
from gmdsl.graph.factor_graph import known
from gmdsl.graph.names import listed
from gmdsl.graph.order import reads_of
from gmdsl.graph.rows import NamedRows
from gmdsl.models.model import Model
from gmdsl.models.operators.childless import without_childless
from gmdsl.models.operators.hidden_part import touching, undone
from gmdsl.spaces.states import states_per_element


def in_energies(model: Model, names: tuple[str, ...]) -> str | None:
    """The name of an energy that reads one of these variables; None where all are children of conditionals."""
    reach = reads_of(model, names)
    return next((f.name for f in model.factors if isinstance(f, Undirected) and reach & set(f.parents)), None)


def check_states(operation: str, model: Model, names: tuple[str, ...]) -> None:
    """Refuses variables in energies whose law given the rest is no sum over states.

    Args:
        operation: what the user called, for messages.
        model: the conditioned model.
        names: the variables to draw.

    Raises:
        SpecError: what is left in energies is continuous or has infinitely many values.
    """
    whole, hidden = _with_labels_free(model, names)
    left = _core(whole, (*names, *hidden))[1]
    for name in left:
        if states_per_element(whole.spaces[name]) is None:
            where = in_energies(model, (name,)) or in_energies(model, names)
            raise SpecError(
                f"{operation}(...): {name} is in the energy {where} and lives in {whole.spaces[name].title}."
                " Exact draws are for variables of finitely many states and for conditionals that nothing else reads."
                f" Leave it free and draw it with the rest by gm.sample, or declare it by gm.joint({name}=...)."
            )
    makers = [c for f in whole.factors if isinstance(f, Conditional) and f.drawable for c in f.children]
    for name in (name for name in (*names, *hidden) if name not in left):
        if makers.count(name) != 1:
            raise SpecError(
                f"{operation}(...): {name} is not drawn by exactly one conditional. Sample the joint by gm.sample."
            )


@full_precision
def completed_in_energies(model: Model, key: Array, values: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """A point with the variables `names` drawn anew given the others.

    Args:
        model: the conditioned model.
        key: of the draw.
        values: of its free variables.
        names: observed variables, some of them in energies.

    Raises:
        SpecError: too many states.
    """
    whole, hidden = _with_labels_free(model, names)
    core, left = _core(whole, (*names, *hidden))
    key_states, key_rest = jax.random.split(key)
    have = {name: value for name, value in {**known(model), **values}.items() if name not in (*names, *hidden)}
    spaces = {name: core.spaces[name] for name in left}
    found = states(key_states, lambda state: log_density(core, NamedRows(have, state), LEAST), spaces)
    if isinstance(found, str):
        raise SpecError(
            f"predict(...): {listed(left)} are in energies and cannot be drawn one after the other ({found}). Leave"
            " them free and draw them with the rest by gm.sample."
        )
    rest = tuple(name for name in (*names, *hidden) if name not in left)
    return complete(whole, key_rest, {**have, **found.draw}, rest)


def _with_labels_free(model: Model, names: tuple[str, ...]) -> tuple[Model, tuple[str, ...]]:
    """The model with labels that were summed out beside these variables, and their names."""
    hidden: tuple[str, ...] = ()
    for factor in touching(model, reads_of(model, names)):
        if isinstance(factor, MarginalEnergy):
            model, inside = undone(model, factor, factor)
            hidden += tuple(inside[name] for name in factor.hidden)
    return model, hidden


def _core(model: Model, unknown: tuple[str, ...]) -> tuple[Model, tuple[str, ...]]:
    """The terms of what is drawn together, and its variables; conditionals that nothing else reads come later."""
    bare = dataclasses.replace(model, observed={n: v for n, v in model.observed.items() if n not in unknown})
    bare = without_childless(bare, unknown)
    left = tuple(name for name in unknown if name in bare.spaces)
    terms = touching(bare, reads_of(bare, left))
    kept = tuple(f for f in bare.factors if isinstance(f, Deterministic) or any(f is term for term in terms))
    return dataclasses.replace(bare, factors=kept), left
