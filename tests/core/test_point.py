import numpy as np

import gmdsl as gm
from gmdsl.core.point import scored_point


def test_a_point_carries_its_log_density_and_score():
    target = gm.compile(gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))).target
    point = scored_point(target, np.array([3.0, -4.0], np.float32))
    assert float(point.log_density) == -12.5
    np.testing.assert_array_equal(point.score, [-3.0, 4.0])
