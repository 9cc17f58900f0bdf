import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.graph.factor_graph import known, shapes_of


@pytest.fixture
def model():
    graph = gm.joint(
        d=gm.data(np.array([1.0, 2.0])),
        k=gm.data(np.array([3, 4, 5])),
        p=gm.param(2.0, gm.Positive()),
        i=gm.input(gm.Real(2)),
        n=7,
        z=dist.Normal(0.0, 1.0),
        m=lambda z, i, d: z * i + d,
        x=lambda m, p, n: dist.Normal(m, p * n),
    )
    return graph.condition(x=[0.5, -0.5])


def test_factors_read_arrays_of_these_shapes_and_constants_as_numbers(model):
    found = shapes_of(model)
    assert {name: (a.shape, str(a.dtype)) for name, a in found.items() if name != "n"} == {
        "d": ((2,), "float32"),
        "k": ((3,), "int32"),
        "p": ((), "float32"),
        "i": ((2,), "float32"),
        "z": ((), "float32"),
        "m": ((2,), "float32"),
        "x": ((2,), "float32"),
    }
    assert found["n"] == 7


def test_data_parameters_and_observations_are_known_and_free_variables_are_not(model):
    found = known(model)
    assert set(found) == {"d", "k", "p", "x", "n"}
    np.testing.assert_allclose(found["p"], 2.0, rtol=1e-6)  # constrained
    np.testing.assert_array_equal(found["x"], np.array([0.5, -0.5], np.float32))
    np.testing.assert_array_equal(found["k"], [3, 4, 5])
    assert isinstance(found["n"], int)
