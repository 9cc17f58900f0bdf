import numpy as np
import pytest

import gmdsl as gm


@pytest.mark.parametrize(
    ("space", "inside", "outside"),
    [
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


def test_cardinalities_are_those_of_the_discrete_spaces():
    assert [s.cardinality for s in (gm.Spin(), gm.Binary(), gm.Categorical(5), gm.Integer(), gm.Real())] == [
        2,
        2,
        5,
        None,
        None,
    ]


def test_values_of_finite_spaces_begin_and_go_on_as_said():
    assert [(s.first, s.gap) for s in (gm.Spin(), gm.Binary(), gm.Categorical(5))] == [(-1, 2), (0, 1), (0, 1)]


def test_descriptions_read_like_the_declaration():
    assert [s.title for s in (gm.Categorical(3, 2), gm.Spin(2), gm.Integer())] == [
        "Categorical(3, 2)",
        "Spin(2)",
        "Integer()",
    ]
