import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import gmdsl as gm


def joint():
    return gm.joint(a=dist.Normal(0, 1), b=lambda a: dist.Normal(a, 1))


@pytest.mark.parametrize(
    ("model", "normalized", "drawable", "reason"),
    [
        (joint(), True, True, ""),
        (joint().condition(b=0.0), False, False, "b is observed below a"),
        (joint().condition(a=0.0), False, True, ""),
        (gm.energy(lambda x: x**2, x=gm.Real()), False, False, "is unnormalised"),
        (gm.joint(x=dist.ImproperUniform(constraints.real, (), ())), False, False, "cannot be drawn from"),
        (gm.joint(x=gm.input(gm.Real()), y=lambda x: dist.Normal(x, 1)), True, False, "inputs x are not bound"),
        (joint() * gm.energy(lambda a: a**2, a=gm.Real()), False, False, "is unnormalised"),
    ],
)
def test_each_kind_of_model_says_what_it_offers_and_why_not(model, normalized, drawable, reason):
    offer = model.capabilities()
    assert (offer.normalized, offer.drawable) == (normalized, drawable)
    assert reason in offer.reasons.get("drawable", "")


def test_a_model_without_continuous_variables_has_no_score():
    offer = gm.joint(k=dist.Bernoulli(0.3)).capabilities()
    assert offer.score == "none"
    assert joint().capabilities().score == "exact"


def test_the_table_prints_one_line_per_capability():
    text = str(gm.energy(lambda x: x**2, x=gm.Real()).capabilities())
    assert text.splitlines()[0].split()[:2] == ["normalized", "False"]
    assert "normalising constant is unknown" in text
