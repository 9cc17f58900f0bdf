import numpy as np
import pytest

import gmdsl as gm


@pytest.mark.parametrize(
    ("space", "inside", "outside"),
    [
        (gm.Ordered(3), [1.0, 2.0, 3.0], [1.0, 3.0, 2.0]),
        (gm.Simplex(3), [0.2, 0.3, 0.5], [0.2, 0.3, 0.6]),
    ],
)
def test_each_space_tells_its_members_from_others(space, inside, outside):
    assert space.contains(np.asarray(inside))
    if outside is not None:
        assert not space.contains(np.asarray(outside))


def test_unconstrained_shapes_have_the_degrees_of_freedom():
    assert gm.Simplex(4).free_shape == (3,)
    assert gm.Ordered(4).free_shape == (4,)


def test_descriptions_read_like_the_declaration():
    assert [s.title for s in (gm.Simplex(3), gm.Ordered(2))] == ["Simplex(3)", "Ordered(2)"]


def test_wrong_sizes_are_refused():
    with pytest.raises(gm.SpecError, match="Simplex.*whole number of at least 1"):
        gm.Simplex(0)
