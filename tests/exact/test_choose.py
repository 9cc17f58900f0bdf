import types

import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.exact import choose
from gmdsl.exact.marginal import accounts


def rule(evaluations):
    return types.SimpleNamespace(evaluations=evaluations)


def chosen(monkeypatch, *answers):
    """What is chosen where the rules answer so, and which of them were asked."""
    asked = []

    def proposing(number, answer):
        return lambda model, hidden, shapes: asked.append(number) or answer

    rules = {f"rule {number}": proposing(number, answer) for number, answer in enumerate(answers)}
    monkeypatch.setattr(choose, "RULES", rules)
    return choose.rule_for(None, ("z",), {}), asked


def test_a_cheap_rule_is_taken_without_asking_the_others(monkeypatch):
    cheap = rule(choose.CHEAP)
    assert chosen(monkeypatch, "no", rule(100), cheap, rule(1)) == (cheap, [0, 1, 2])


def test_of_dear_rules_the_first_is_taken_that_costs_at_most_four_times_the_least(monkeypatch):
    dear, dearer, too_dear = rule(100), rule(400), rule(401)
    assert chosen(monkeypatch, dearer, dear) == (dearer, [0, 1])
    assert chosen(monkeypatch, too_dear, dearer, dear) == (dearer, [0, 1, 2])


def test_where_no_rule_applies_each_reason_is_said_once_and_empty_ones_are_not(monkeypatch):
    found, asked = chosen(monkeypatch, "not linear", "", "not linear", "too wide")
    assert found == "rule 0, rule 2: not linear; rule 3: too wide"
    assert asked == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("nodes", "account"),
    [
        ({"z": dist.Bernoulli(0.3), "x": lambda z: dist.Normal(z, 1.0)}, "z: summed out, 2 states"),
        ({"z": dist.Normal(0.0, 1.0), "x": lambda z: dist.Normal(z, 1.0)}, "z: integrated out, linear-Gaussian"),
    ],
)
def test_discrete_variables_are_enumerated_and_gaussian_ones_integrated(nodes, account):
    assert accounts(gm.joint(nodes).marginalize("z")) == (account,)
