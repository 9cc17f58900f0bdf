import numpy as np
import pytest

import gmdsl as gm


def test_data_are_copied_when_declared():
    array = np.ones(3)
    node = gm.data(array)
    array += 1.0
    assert node.value.tolist() == [1.0, 1.0, 1.0]


def test_a_parameter_is_held_unconstrained_and_read_constrained():
    node = gm.param(2.0, gm.Positive())
    np.testing.assert_allclose(node.free, np.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(node.value, 2.0, rtol=1e-6)


def test_a_parameter_starts_inside_its_space():
    with pytest.raises(gm.SpecError, match="not in Positive"):
        gm.param(-1.0, gm.Positive())
    with pytest.raises(gm.SpecError, match="Give both one shape"):
        gm.param([1.0, 2.0], gm.Positive())


def test_given_takes_names_and_then_a_callable():
    assert gm.given("z", "w", max).variables == ("z", "w")
    with pytest.raises(gm.SpecError, match="names first"):
        gm.given(max, "z")


def test_an_input_is_declared_by_a_space():
    with pytest.raises(gm.SpecError, match="a space is needed"):
        gm.input(3)
