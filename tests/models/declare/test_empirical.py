import jax
import numpy as np
import pytest

import gmdsl as gm


def test_draws_are_rows_and_variables_stay_together():
    rows, labels = np.array([[0.5, 1.5], [2.0, 3.0], [4.0, 5.0]]), np.array([7, 8, 9])
    model = gm.empirical(x=rows, label=labels)
    assert (model.spaces["x"], model.spaces["label"]) == (gm.Real(2), gm.Integer())
    draws = model.sample(jax.random.key(0), 3000)
    index = np.asarray(draws["label"]) - 7
    np.testing.assert_array_equal(draws["x"], rows[index])
    assert (np.abs(np.bincount(index, minlength=3) - 1000) < 4.0 * np.sqrt(2000 / 3)).all()  # once in 5,000


def test_columns_are_left_out():
    model = gm.empirical({"a.b": [1.0, 2.0], "c": [3.0, 4.0]}).marginalize("a.b")
    assert model.free == ("c",)
    assert set(np.asarray(model.sample(jax.random.key(1), 50)["c"]).tolist()) == {3.0, 4.0}


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: gm.empirical(), "no data"),
        (lambda: gm.empirical(x=3.0), r"the lengths are \{'x': 0\}"),
        (lambda: gm.empirical(x=[1.0, 2.0], y=[1.0]), r"the lengths are \{'x': 2, 'y': 1\}"),
        (lambda: gm.empirical(x=[1.0, np.nan]), "1 of 2 values are NaN"),
        (lambda: gm.empirical(dims=[1.0]), "reserved"),
        (
            lambda: gm.compile(gm.empirical(x=[1.0])),
            r"x is drawn from a data set(.|\n)*marginalize\('x'\)(.|\n)*histogram",
        ),
    ],
)
def test_mistakes_are_named(run, message):
    with pytest.raises(gm.SpecError, match=message):
        run()
