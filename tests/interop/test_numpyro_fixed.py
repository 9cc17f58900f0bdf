import numpy as np
import pytest

from gmdsl.core.pytrees.function import Constant
from gmdsl.interop.numpyro_fixed import why_fixed

ARGUMENTS = {
    "scale": Constant(2.0),
    "kind": Constant("linear"),
    "nothing": Constant(None),
    "group": Constant(np.arange(3)),
    "table": {"x": np.zeros(3), "y": np.zeros(3)},
    "pair": (np.zeros(3), np.ones(3)),
}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("scale", "fixed Python value 2.0. To change it, declare the model with an array"),
        ("kind", "given as a str"),
        ("nothing", "given as None"),
        ("group", "f reads group as a NumPy array"),
        ("table", "table is the dict argument table of f"),
        ("y", "y is inside of the dict argument table of f"),
        ("pair", "pair is a tuple, which is fixed as a whole"),
    ],
)
def test_the_reason_names_the_argument_and_what_it_is(name, message):
    assert message in why_fixed("f", ARGUMENTS, name)


def test_nothing_is_said_of_other_names():
    assert why_fixed("f", ARGUMENTS, "z") == ""
