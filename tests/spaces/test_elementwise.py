import numpy as np
import pytest

import gmdsl as gm
from gmdsl.spaces.unnamed import IntegerSupport, Support


@pytest.mark.parametrize(
    ("space", "inside", "outside"),
    [
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
    assert space.contains(np.asarray(inside))
    if outside is not None:
        assert not space.contains(np.asarray(outside))


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
    spaces = [gm.Interval(0, 1, 4), gm.Categorical(3, 2), gm.Simplex(3), gm.CorrCholesky(2)]
    assert [s.title for s in spaces] == [
        "Interval(0.0, 1.0, 4)",
        "Categorical(3, 2)",
        "Simplex(3)",
        "CorrCholesky(2)",
    ]


def test_wrong_sizes_and_ends_are_refused():
    with pytest.raises(gm.SpecError, match="Simplex.*whole number of at least 1"):
        gm.Simplex(0)
    with pytest.raises(gm.SpecError, match="not below the upper end"):
        gm.Interval(1.0, 1.0)


def test_moving_bounds_have_no_constraint_of_their_own():
    moving = Support(kind="interval", shape=(), free=())
    assert moving.dynamic
    assert moving.contains(np.asarray(1e9))
    with pytest.raises(gm.SpecError, match="depend on other variables"):
        _ = moving.constraint
    assert IntegerSupport(kind="integerinterval", shape=()).discrete


def test_values_of_finite_spaces_begin_and_go_on_as_said():
    assert [(s.first, s.gap) for s in (gm.Spin(), gm.Binary(), gm.Categorical(5))] == [(-1, 2), (0, 1), (0, 1)]


def test_supports_without_a_name_are_titled_by_their_kind():
    assert Support(kind="interval", shape=(3,), free=(3,)).title == "interval[3]"
    assert IntegerSupport(kind="integergreaterthan", shape=()).title == "integergreaterthan"
