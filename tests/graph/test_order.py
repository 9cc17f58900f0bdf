import pytest

import gmdsl as gm
from gmdsl.graph.factor import Deterministic, call_by_name
from gmdsl.graph.order import ancestors, cycle, ordered


def test_parents_come_before_children(model):
    names = [f.children[0] for f in ordered(model.factors)]
    assert names.index("mu") < names.index("theta") < names.index("y")
    assert names.index("tau") < names.index("theta")


def test_a_cycle_is_found_and_walked_round():
    factors = [
        Deterministic(a, call_by_name(eval(f"lambda {b}: {b}"))) for a, b in (("a", "b"), ("b", "c"), ("c", "a"))
    ]
    loop = cycle(factors)
    assert loop[0] == loop[-1]
    assert set(loop) == {"a", "b", "c"}
    with pytest.raises(gm.SpecError, match="cycle"):
        ordered(factors)


def test_ancestors_follow_all_arrows(model):
    assert ancestors(model.factors, "y") == {"theta", "sigma", "mu", "tau"}
    assert ancestors(model.factors, "mu") == set()
