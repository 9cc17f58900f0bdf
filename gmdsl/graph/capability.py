"""What a model offers, and why it does not offer the rest."""

from dataclasses import dataclass, field

from gmdsl.graph.conditional import Conditional
from gmdsl.graph.factor import Deterministic, Undirected
from gmdsl.graph.factor_graph import FactorGraph
from gmdsl.graph.order import ancestors, cycle


@dataclass(frozen=True)
class Capabilities:
    """What can be asked of a model.

    Attributes:
        normalized: whether the density integrates to one over the free variables.
        drawable: whether `model.sample` works.
        score: how the score comes about: "exact" (by differentiation) or "none" (no float variable).
        reasons: why not, by capability.
    """

    normalized: bool
    drawable: bool
    score: str
    reasons: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = [("normalized", self.normalized), ("drawable", self.drawable), ("score", self.score)]
        return "\n".join(f"{k:<11}{v!s:<7}{self.reasons.get(k, '')}".rstrip() for k, v in rows)


def capabilities(model: FactorGraph) -> Capabilities:
    """The capabilities of a model with their reasons."""
    reasons: dict[str, str] = {}
    structure = _not_directed(model)
    improper = [f.name for f in model.factors if isinstance(f, Conditional) and not f.normalized]
    stuck = [f.name for f in model.factors if isinstance(f, Conditional) and not f.drawable]
    if structure:
        reasons["normalized"] = reasons["drawable"] = structure
    elif improper:
        reasons["normalized"] = f"{improper[0]} is improper"
    if model.observed and "normalized" not in reasons:
        reasons["normalized"] = f"{', '.join(model.observed)} observed: the evidence is not divided out"
    if stuck and "drawable" not in reasons:
        reasons["drawable"] = f"{stuck[0]} cannot be drawn from"
    if "drawable" not in reasons and (above := observed_below_free(model)):
        reasons["drawable"] = above
    if model.inputs:
        reasons["drawable"] = f"the inputs {', '.join(n for n, _ in model.inputs)} are not bound"
    floats = any(not model.spaces[name].discrete for name in model.free)
    if not floats:
        reasons["score"] = "no free variable is continuous"
    return Capabilities("normalized" not in reasons, "drawable" not in reasons, "exact" if floats else "none", reasons)


def _not_directed(model: FactorGraph) -> str | None:
    energies = [f.name for f in model.factors if isinstance(f, Undirected)]
    if energies:
        return f"{energies[0]} is unnormalised: its normalising constant is unknown"
    makers: dict[str, int] = {}
    for factor in model.factors:
        if not isinstance(factor, Deterministic):
            for child in factor.children:
                makers[child] = makers.get(child, 0) + 1
    twice = [name for name, count in makers.items() if count > 1]
    if twice:
        return f"{twice[0]} is the child of {makers[twice[0]]} factors: their product is not normalised"
    loop = cycle(model.factors)
    if loop:
        return f"the arrows form a cycle, {' -> '.join(loop)}"
    if model.narrowed:
        return f"{model.narrowed[0]} is restricted to a part of its distribution's support"
    orphans = [name for name in model.random if name not in makers]
    return f"{orphans[0]} has no distribution" if orphans else None


def observed_below_free(model: FactorGraph) -> str | None:
    """Why the free variables cannot be drawn in order given the observed ones; None when they can."""
    free = set(model.free)
    for name in model.observed:
        above = free & ancestors(model.factors, name)
        if above:
            return f"{name} is observed below {sorted(above)[0]}: draw the posterior with gm.sample"
    for factor in model.factors:
        beside = free & set(factor.children)
        if beside and model.observed.keys() & set(factor.children):
            return f"{factor.name} is observed in part: draw {sorted(beside)[0]} with gm.sample"
    return None
