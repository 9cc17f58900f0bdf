import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


@pytest.fixture
def model():
    return gm.joint(
        a=dist.Normal(0.0, 1.0),
        b=lambda a, s: dist.Normal(a * s, 1.0),
        s=gm.data(2.0),
        dims={},
    )


def test_functions_keep_their_argument_names(model):
    renamed = model.rename(a="left", s="scale").condition(b=1.0)
    value = gm.compile(renamed).log_density({"left": 0.3})
    same = gm.compile(model.condition(b=1.0)).log_density({"a": 0.3})
    np.testing.assert_array_equal(value, same)
    assert list(renamed.data) == ["scale"]


def test_names_can_be_swapped(model):
    swapped = model.rename(a="b", b="a")
    assert [f.name for f in swapped.factors] == ["p(b)", "p(a | b, s)"]


def test_unknown_and_taken_names_are_refused(model):
    with pytest.raises(gm.SpecError, match="there is no 'c'"):
        model.rename(c="d")
    with pytest.raises(gm.SpecError, match="there is a 'b' already"):
        model.rename(a="b")
    with pytest.raises(gm.SpecError, match="two names become one"):
        model.rename(a="x", b="x")


def test_new_names_must_fit_a_tree_of_results(model):
    for new in ("chain", "a/b"):
        with pytest.raises(gm.SpecError, match="a name is a string without '/'"):
            model.rename(a=new)
