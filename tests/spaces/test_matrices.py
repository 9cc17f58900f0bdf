import numpy as np
import pytest

import gmdsl as gm


@pytest.mark.parametrize(
    ("space", "inside", "outside"),
    [
        (gm.CorrCholesky(2), [[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.6, 0.9]]),
        (gm.PositiveDefinite(2), [[2.0, 0.5], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]]),
    ],
)
def test_each_space_tells_its_members_from_others(space, inside, outside):
    assert space.contains(np.asarray(inside))
    if outside is not None:
        assert not space.contains(np.asarray(outside))


def test_unconstrained_shapes_have_the_degrees_of_freedom():
    assert gm.CorrCholesky(4).free_shape == (6,)
    assert gm.PositiveDefinite(4).free_shape == (10,)


def test_descriptions_read_like_the_declaration():
    assert [s.title for s in (gm.CorrCholesky(2), gm.PositiveDefinite(3))] == ["CorrCholesky(2)", "PositiveDefinite(3)"]
