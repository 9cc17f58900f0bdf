import numpy as np

import gmdsl as gm
from gmdsl.samplers.approximations.fitting.labels import labels, largest


def target():
    model = gm.energy(
        lambda a, b, s: a**2 + (b**2).sum() + (s**2).sum(), a=gm.Positive(), b=gm.Real(2, 2), s=gm.Simplex(3)
    )
    return gm.compile(model).target


def test_each_coordinate_is_named_by_its_variable_and_its_index():
    assert labels(target()) == ["a", "b[0,0]", "b[0,1]", "b[1,0]", "b[1,1]", "s[0]", "s[1]"]


def test_the_largest_coordinates_come_first_and_small_ones_are_left_out():
    assert largest(target(), [0.1, 0.0, -4.0, 0.0, 3.0, 0.0, 0.2]) == "b[0,1], b[1,1]"
    assert largest(target(), np.ones(7)) == "a, b[0,0], b[0,1], b[1,0] and 3 more"
