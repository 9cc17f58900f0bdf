import numpy as np
import pytest
from numpyro.distributions import constraints

import gmdsl as gm
from gmdsl.core.pytrees.function import Constant
from gmdsl.spaces.unnamed import IntegerSupport, Support


def test_moving_bounds_have_no_constraint_of_their_own():
    moving = Support(kind="interval", shape=(), free=())
    assert moving.dynamic
    assert moving.contains(np.asarray(1e9))
    with pytest.raises(gm.SpecError, match="depend on other variables"):
        _ = moving.constraint
    assert IntegerSupport(kind="integerinterval", shape=()).discrete


def test_supports_without_a_name_are_titled_by_their_kind():
    assert Support(kind="interval", shape=(3,), free=(3,)).title == "interval[3]"
    assert IntegerSupport(kind="integergreaterthan", shape=()).title == "integergreaterthan"


def test_fixed_bounds_tell_their_members():
    support = Support("interval", (2,), (2,), Constant(constraints.interval(1.0, 3.0)))
    assert not support.dynamic
    assert support.contains(np.array([1.5, 2.5]))
    assert not support.contains(np.array([1.5, 3.5]))
    counts = IntegerSupport("integergreaterthan", (), Constant(constraints.nonnegative_integer))
    assert [counts.contains(np.asarray(n)) for n in (0, 3, -1)] == [True, True, False]
