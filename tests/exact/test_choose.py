import types

import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.exact import choose
from gmdsl.exact.marginal import accounts
from gmdsl.exact.rule import Rule
from gmdsl.graph.evaluate import log_density


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


class Half(Rule):
    """A rule that is wrong by a factor of two, to be seen in the density."""

    @property
    def account(self) -> str:
        return "halved"

    @property
    def evaluations(self) -> int:
        return 10**9

    def log_density(self, model, hidden, values):
        return log_density(model, {**values, hidden[0]: 1})

    def observations(self, model, hidden, values):
        return self.log_density(model, hidden, values)


def coin():
    return gm.joint(k=dist.Bernoulli(0.5), x=lambda k: dist.Normal(4.0 * k, 1.0))


def test_a_rule_of_the_user_is_asked_first_whatever_it_costs():
    model = coin().marginalize("k", rules=[lambda model, hidden, shapes: Half()])
    density = gm.compile(model)
    assert "  k: halved" in density.explain().splitlines()
    np.testing.assert_allclose(density.log_density({"x": 4.0}), np.log(0.5 / np.sqrt(2 * np.pi)), rtol=1e-6)


def test_a_rule_of_the_user_that_does_not_apply_leaves_it_to_the_others_or_says_why():
    def never(model, hidden, shapes):
        return "it is Tuesday"

    assert "summed out, 2 states" in gm.compile(coin().marginalize("k", rules=[never])).explain()
    endless = gm.joint(n=dist.Poisson(3.0), x=lambda n: dist.Normal(n, 1.0))
    with pytest.raises(gm.SpecError, match="never: it is Tuesday"):
        endless.marginalize("n", rules=[never])


def test_what_is_no_rule_is_refused_with_what_to_return():
    def empty(model, hidden, shapes):
        return None

    joint, half = coin(), Half()
    with pytest.raises(gm.SpecError, match=r"rules=.*: empty returned NoneType for k. Return a gmdsl.exact.rule.Rule"):
        joint.marginalize("k", rules=[empty])
    with pytest.raises(gm.SpecError, match="Half is no function. Pass functions"):
        joint.marginalize("k", rules=[half])
