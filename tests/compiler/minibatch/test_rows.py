import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.minibatch.rows import Rows, local, rows_of

X, Y = np.arange(12.0).reshape(4, 3), np.arange(4.0)


def line(dims=None, **more):
    model = gm.joint(
        b=dist.Normal(0.0, 1.0).expand([3]),
        X=gm.data(X),
        mu=lambda b, X: X @ b,
        y=lambda mu: dist.Normal(mu, 1.0),
        w=lambda b: dist.Normal(b, 1.0),
        dims=dims,
        **more,
    )
    return model.condition(y=Y, w=np.zeros(3))


ROWS = {"X": ["row", "feature"], "mu": ["row"], "y": ["row"]}


@pytest.mark.parametrize(("given", "dims"), [(("X", "y"), None), ("row", ROWS), (None, ROWS), (("y", "X", "y"), ROWS)])
def test_rows_are_named_by_arrays_or_by_a_dimension_or_by_nothing_where_there_is_one(given, dims):
    """The factors b, mu, y, w in this order: y reads rows, through mu, and only y is a sum over them."""
    found = rows_of("op", line(dims), given)
    assert (set(found.names), found.count, found.factors) == ({"X", "y"}, 4, (2,))


def test_an_energy_that_reads_rows_is_a_sum_over_them():
    energy = gm.energy(lambda b, z: ((z - b) ** 2).sum(), b=gm.Real(), z=gm.data(Y))
    assert rows_of("op", gm.joint(b=dist.Normal(0, 1)) * energy, "z") == Rows(("z",), 4, (1,))


@pytest.mark.parametrize(
    ("given", "dims", "message"),
    [
        (None, None, r"op: which data are rows\? Name them, rows=\('X', 'y'\)\."),
        (None, {**ROWS, "w": ["feature"]}, "the first dimensions of what is observed are row, feature. Say which"),
        (
            "rwo",
            ROWS,
            "there is no 'rwo'; the data, observed values and dimensions are X, y, w, feature, row",
        ),
        (("X", "w"), None, r"X has 4 rows and w has 3. What is named in rows=... must share its first axis"),
        (("b", "y"), None, "b is a free variable; rows are data and observed values. Leave it out."),
        ((), None, r"rows=\(\) names nothing"),
        (
            "row",
            {"X": ["feature", "row"], "y": ["row"]},
            "row is axis 1 of X, and rows lie along the first axis.",
        ),
        ("row", {"b": ["row"], "y": ["row"]}, "b has one element per row"),
        ("row", {"mu": ["row"]}, "no data and nothing observed has the dimension row"),
    ],
)
def test_rows_that_cannot_be_meant_are_refused_with_what_to_write(given, dims, message):
    with pytest.raises(gm.SpecError, match=message):
        rows_of("op", line(dims), given)


def test_a_number_has_no_rows_and_data_that_nothing_reads_are_none():
    model = line(c=gm.data(2.0), Z=gm.data(X))
    with pytest.raises(gm.SpecError, match="op: c is one number and has no rows"):
        rows_of("op", model, ("c", "y"))
    with pytest.raises(gm.SpecError, match="no term reads the rows of Z"):
        rows_of("op", model, "Z")


def test_the_law_of_a_free_variable_reads_no_rows():
    prior = gm.joint(X=gm.data(Y), b=lambda X: dist.Normal(X.mean(), 1.0), y=lambda b, X: dist.Normal(b * X, 1.0))
    with pytest.raises(gm.SpecError, match=r"op: the law of b reads the rows of X, .* pass it as gm.data"):
        rows_of("op", prior.condition(y=Y), ("X", "y"))


def test_a_local_variable_is_told_what_to_do():
    assert "with z integrated out" in str(local("op", "z"))
