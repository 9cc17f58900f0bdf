import numpy as np
import pytest

import gmdsl as gm
from gmdsl.core.space import IntegerSupport, Support, contains, describe, dtype_of


@pytest.mark.parametrize(
    ("space", "inside", "outside"),
    [
        (gm.Real(2), [1.0, -3.0], [np.inf, 0.0]),
        (gm.Positive(), 0.1, -0.1),
        (gm.Interval(-1.0, 2.0), 1.5, 2.5),
        (gm.Ordered(3), [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]),
        (gm.Simplex(3), [0.2, 0.3, 0.5], [0.2, 0.3, 0.6]),
        (gm.CorrCholesky(2), [[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.6, 0.9]]),
        (gm.PositiveDefinite(2), [[2.0, 0.5], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]]),
        (gm.Circle(), 3.0, 4.0),
        (gm.Spin(2), [-1, 1], [0, 1]),
        (gm.Binary(2), [0, 1], [2, 1]),
        (gm.Categorical(3), 2, 3),
        (gm.Integer(), -7, None),
    ],
)
def test_each_space_tells_its_members_from_others(space, inside, outside):
    assert contains(space, np.asarray(inside))
    if outside is not None:
        assert not contains(space, np.asarray(outside))


def test_unconstrained_shapes_have_the_degrees_of_freedom():
    assert gm.Simplex(4).free_shape == (3,)
    assert gm.CorrCholesky(4).free_shape == (6,)
    assert gm.PositiveDefinite(4).free_shape == (10,)
    assert gm.Ordered(4).free_shape == (4,)


def test_cardinalities_are_those_of_the_discrete_spaces():
    assert [s.cardinality for s in (gm.Spin(), gm.Binary(), gm.Categorical(5), gm.Integer(), gm.Real())] == [
        2,
        2,
        5,
        None,
        None,
    ]


def test_descriptions_read_like_the_declaration():
    spaces = [gm.Real(2, 3), gm.Interval(0, 1, 4), gm.Categorical(3, 2), gm.Simplex(3), gm.CorrCholesky(2)]
    assert [describe(s) for s in spaces] == [
        "Real(2, 3)",
        "Interval(0.0, 1.0, 4)",
        "Categorical(3, 2)",
        "Simplex(3)",
        "CorrCholesky(2)",
    ]


def test_wrong_sizes_and_ends_are_refused():
    with pytest.raises(gm.SpecError, match="whole number of at least 1"):
        gm.Real(0)
    with pytest.raises(gm.SpecError, match="not below the upper end"):
        gm.Interval(1.0, 1.0)


def test_precision_follows_jax(x64):
    assert dtype_of(gm.Real()) == np.float64
    assert dtype_of(gm.Binary()) == np.int64


def test_moving_bounds_have_no_constraint_of_their_own():
    moving = Support(kind="interval", shape=(), free=())
    assert moving.dynamic
    assert contains(moving, np.asarray(1e9))
    with pytest.raises(gm.SpecError, match="depend on other variables"):
        _ = moving.constraint
    assert IntegerSupport(kind="integerinterval", shape=()).discrete
