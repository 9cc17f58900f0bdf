"""Which rule hides a variable: the first that is cheap, or not much dearer than the cheapest."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gmdsl.core.errors import SpecError
from gmdsl.exact.rule import Rule
from gmdsl.exact.rules.counting import counting
from gmdsl.exact.rules.elimination import elimination
from gmdsl.exact.rules.empirical import empirical_kernel
from gmdsl.exact.rules.enumeration import enumeration
from gmdsl.exact.rules.forward import forward
from gmdsl.exact.rules.linear_gaussian import linear_gaussian
from gmdsl.exact.rules.mixture_kernel import mixture_kernel
from gmdsl.graph.factor import Names
from gmdsl.graph.factor_graph import FactorGraph

RULES = {  # tried in this order
    "enumeration": enumeration,
    "counting": counting,
    "variable elimination": elimination,
    "forward algorithm": forward,
    "linear-Gaussian": linear_gaussian,
    "Gaussian mixture": mixture_kernel,
    "empirical": empirical_kernel,
}
CHEAP = 32  # evaluations: a rule that takes no more is used without asking the others


type Propose = Callable[[FactorGraph, Names, Mapping[str, Any]], Rule | str]


def rule_for(model: FactorGraph, hidden: Names, shapes: Mapping[str, Any], first: Sequence[Propose] = ()) -> Rule | str:
    """The first rule that is cheap, or not much dearer than the cheapest that applies; or why none does.

    Args:
        model: the factors that touch hidden variables.
        hidden: the variables to be hidden.
        shapes: shapes (or numbers) of all others.
        first: rules of the user, which are asked before all others; the first that applies is taken.

    Raises:
        SpecError: what a rule of the user returns is neither a `Rule` nor a reason.
    """
    found: list[Rule] = []
    reasons: dict[str, list[str]] = {}
    for propose in first:
        rule = _proposed(propose, model, hidden, shapes)
        if isinstance(rule, Rule):
            return rule
        reasons.setdefault(rule, []).append(_title(propose))
    for title_of, propose in RULES.items():
        rule = propose(model, hidden, shapes)
        if isinstance(rule, str):
            reasons.setdefault(rule, []).append(title_of)
        elif rule.evaluations <= CHEAP:
            return rule
        else:
            found.append(rule)
    least = min((rule.evaluations for rule in found), default=0)
    reasons.pop("", None)  # rules for variables of another kind
    why = "; ".join(f"{', '.join(titles)}: {reason}" for reason, titles in reasons.items())
    return next((rule for rule in found if rule.evaluations <= 4 * least), why)


def _proposed(propose: Propose, model: FactorGraph, hidden: Names, shapes: Mapping[str, Any]) -> Rule | str:
    """What a rule of the user says, checked."""
    if not callable(propose) or isinstance(propose, type | Rule):
        raise SpecError(
            f"marginalize(rules=...): {_title(propose)} is no function. Pass functions of (model, hidden, shapes) that"
            " return a gmdsl.exact.rule.Rule, or in words why they do not apply."
        )
    rule = propose(model, hidden, shapes)
    if not isinstance(rule, Rule | str):
        raise SpecError(
            f"marginalize(rules=...): {_title(propose)} returned {type(rule).__name__} for {', '.join(hidden)}."
            " Return a gmdsl.exact.rule.Rule, or in words why it does not apply."
        )
    return rule


def _title(propose: Any) -> str:
    return getattr(propose, "__name__", type(propose).__name__)
