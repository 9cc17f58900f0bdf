import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.models.operators.redeclare import redeclared

X = np.arange(4.0)


def model():
    return gm.joint(
        x=gm.data(X),
        k=gm.data(np.array([0, 1, 1, 0])),
        b=dist.Normal(0.0, 1.0),
        c=gm.param(0.3),
        two=2.0,
        mu=lambda x, b, c, two: two * b * x + c,
        y=lambda mu: dist.Normal(mu, 1.0),
        z=gm.scan(lambda before, x: dist.Normal(before + x, 1.0), first=dist.Normal(0.0, 1.0), each=["x"]),
    )


def test_every_node_takes_the_new_size():
    fresh = redeclared("predict", model().condition(y=X), {"x": np.zeros(7)})
    assert fresh.spaces == {
        "b": gm.Real(),
        "mu": gm.Real(7),
        "y": gm.Real(7),
        "z": gm.Real(7),
    }
    assert fresh.free == ("b", "y", "z")
    assert fresh.data["k"].shape == (4,)
    same = redeclared("predict", model(), {"x": X})
    at = {"b": 0.5, "y": X, "z": X}
    np.testing.assert_array_equal(gm.compile(same).log_density(at), gm.compile(model()).log_density(at))


def test_gaps_and_weights_belong_to_the_old_rows():
    y = np.array([0.0, np.nan, 1.0, 2.0])
    known = model().condition(y=y, missing="marginalise").weight(y=[1.0, 2.0, 3.0, 4.0])
    fresh = redeclared("predict", known, {"x": np.zeros(2)})
    assert [f.name for f in fresh.factors] == [f.name for f in model().factors]
    assert fresh.capabilities().normalized


def test_powers_gaps_and_weights_stay_around_the_new_rows_where_that_is_asked_for():
    """On three rows with two gaps: twice the weighted log-density of the element that is there."""
    y = np.array([0.0, np.nan])
    small = gm.joint(x=gm.data(X[:2]), b=dist.Normal(0.0, 1.0), y=lambda b, x: dist.Normal(b * x, 1.0))
    known = small.condition(y=y, missing="marginalise").weight(y=3.0) ** 2.0
    fresh = redeclared("predict", known, {"x": np.array([2.0, 5.0, 7.0])}, wrapped=True)
    assert fresh.spaces["y"] == gm.Real(3)
    found = fresh.factors[1].log_density(
        {"b": 0.5, "x": np.array([2.0, 5.0, 7.0]), "y": np.array([1.5, np.nan, np.nan])}
    )
    np.testing.assert_allclose(found, 2.0 * 3.0 * dist.Normal(1.0, 1.0).log_prob(1.5), rtol=1e-6)


def test_an_energy_takes_data_of_the_new_size():
    model = gm.energy(lambda b, x: ((x - b) ** 2).sum(), b=gm.Real(), x=gm.data(X))
    fresh = redeclared("predict", model, {"x": np.array([1.0, 2.0])})
    assert float(gm.compile(fresh).log_density({"b": 0.0})) == -5.0
    matrix = gm.energy(lambda b, x: b @ x, b=gm.Real(4), x=gm.data(X))
    with pytest.raises(gm.SpecError, match=r"energy: its function failed for b\(4,\), x\(2,\)"):
        redeclared("predict", matrix, {"x": np.array([1.0, 2.0])})


def test_an_observed_variable_can_be_set_on_the_new_rows():
    fresh = redeclared("predict", model().condition(y=X, z=X), {"x": np.zeros(2), "z": [1.0, 2.0]})
    assert fresh.observed["z"].tolist() == [1.0, 2.0]
    with pytest.raises(gm.SpecError, match=r"shape \(3,\), but z was declared \(2,\)"):
        redeclared("predict", model().condition(y=X, z=X), {"x": np.zeros(2), "z": np.zeros(3)})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"xx": X}, "there is no 'xx'; the data are x, k, y. Did you mean 'x'"),
        ({"x": 1.0}, r"shape \(\), but x was declared \(4,\). Keep the number of axes."),
        ({"k": [0.5, 1.0]}, "the values are float64, but k was declared int64"),
        ({"x": [np.nan]}, "values are NaN"),
    ],
)
def test_data_that_cannot_be_meant_are_refused(values, message):
    with pytest.raises(gm.SpecError, match=message):
        redeclared("predict", model().condition(y=X), values)


def test_bound_inputs_are_data_of_any_size_in_their_support():
    line = gm.joint(x=gm.input(gm.Positive(3)), b=dist.Normal(0, 1), y=lambda x, b: dist.Normal(b * x, 1.0))
    known = line.condition(x=[1.0, 2.0, 3.0], y=np.zeros(3))
    assert redeclared("predict", known, {"x": [1.0, 5.0]}).spaces["y"] == gm.Real(2)
    with pytest.raises(gm.SpecError, match=r"a value lies outside the support; x was declared Positive\(3\)"):
        redeclared("predict", known, {"x": [1.0, -5.0]})


def test_terms_that_hold_their_shapes_are_refused_by_name():
    low, high = (gm.joint(x=gm.input(gm.Real(4)), y=lambda x, m=m: dist.Normal(m + x, 1.0)) for m in (-1.0, 1.0))
    mixed = gm.mixture([0.5, 0.5], low, high) * gm.joint(x=gm.data(X), b=dist.Normal(0, 1))
    with pytest.raises(gm.SpecError, match=r"p\(y \| x\) was built for x of shape \(4,\) and cannot be built anew"):
        redeclared("predict", mixed, {"x": np.zeros(2)})
    fixed = gm.joint(x=gm.data(X), b=dist.Normal(0, 1).expand([4]), y=lambda b, x: dist.Normal(b * x, 1.0))
    with pytest.raises(gm.SpecError, match=r"y: its function failed for b\(4,\), x\(2,\)"):
        redeclared("predict", fixed, {"x": np.zeros(2)})
