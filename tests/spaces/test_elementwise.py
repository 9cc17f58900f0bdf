import numpy as np
import pytest

import gmdsl as gm


@pytest.mark.parametrize(
    ("space", "inside", "outside"),
    [
        (gm.Positive(), 0.1, -0.1),
        (gm.Interval(-1.0, 2.0), 1.5, 2.5),
        (gm.Circle(), 3.0, 4.0),
    ],
)
def test_each_space_tells_its_members_from_others(space, inside, outside):
    assert space.contains(np.asarray(inside))
    if outside is not None:
        assert not space.contains(np.asarray(outside))


def test_descriptions_read_like_the_declaration():
    assert gm.Interval(0, 1, 4).title == "Interval(0.0, 1.0, 4)"


def test_wrong_ends_are_refused():
    with pytest.raises(gm.SpecError, match="not below the upper end"):
        gm.Interval(1.0, 1.0)


def test_ends_that_are_arrays_are_refused_with_the_way_out():
    with pytest.raises(gm.SpecError, match=r"Interval\(lower end of shape \(2,\)\): .*dist.Uniform"):
        gm.Interval(np.zeros(2), np.ones(2))
