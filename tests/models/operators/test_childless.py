import dataclasses

import numpy as np
import numpyro.distributions as dist
from scipy import stats

import gmdsl as gm
from gmdsl.models.operators.childless import without_childless
from tests.models.operators.test_marginalize import school


def test_what_nothing_depends_on_is_dropped_exactly(x64):
    left = school().marginalize("y", "theta")
    assert (left.random, left.deterministic) == (("mu", "tau"), ())
    assert (left.dims, left.coords) == ((), ())
    truth = stats.norm.logpdf(0.3, 0.0, 5.0) + stats.halfcauchy.logpdf(2.0, 0.0, 5.0)
    np.testing.assert_allclose(gm.compile(left).log_density({"mu": 0.3, "tau": 2.0}), truth, rtol=1e-12)
    assert school().marginalize("theta", "y").factors == left.factors


def test_any_law_is_dropped_when_nothing_depends_on_it():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.StudentT(3.0, a**2, 1.0)).marginalize("b")
    assert model.free == ("a",)


def test_what_is_dropped_is_childless_and_what_is_observed_below_is_not(x64):
    """An unobserved leaf integrates to one; an observed one, or one that an energy reads, does not."""
    pair = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(a, 2.0))
    np.testing.assert_allclose(gm.compile(pair.marginalize("b")).log_density({"a": 0.7}), stats.norm.logpdf(0.7))
    read = pair * gm.energy(lambda b: 0.5 * b**2, b=gm.Real())
    # int N(b; a, 4) exp(-b^2 / 2) db = sqrt(2 pi) N(a; 0, 5)
    exact = stats.norm.logpdf(0.7) + 0.5 * np.log(2 * np.pi) + stats.norm.logpdf(0.7, 0.0, np.sqrt(5.0))
    joint = gm.joint(b=gm.input(gm.Real()), c=lambda b: dist.Normal(b, 1.0)).condition(c=0.0)
    seen = gm.compile((pair * joint).marginalize("b")).log_density({"a": 0.7})
    np.testing.assert_allclose(seen, exact - 0.5 * np.log(2 * np.pi), rtol=1e-12)
    left = gm.log_normalizer(read.condition(a=0.7))
    np.testing.assert_allclose(left.log_z, exact, rtol=1e-9)


def test_what_something_reads_or_what_was_narrowed_is_kept():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: dist.Normal(a, 1.0), c=lambda b: dist.Normal(b, 1.0))
    left = lambda model, *hidden: [f.name for f in without_childless(model, hidden).factors]  # noqa: E731
    assert left(model, "b", "c") == ["p(a)"]
    assert left(model, "b") == ["p(a)", "p(b | a)", "p(c | b)"]
    narrowed = dataclasses.replace(model, narrowed=("c",))  # the integral over a part of the support is not one
    assert left(narrowed, "c") == ["p(a)", "p(b | a)", "p(c | b)"]
