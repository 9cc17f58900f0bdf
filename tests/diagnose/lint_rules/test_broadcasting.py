import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diagnose.lint_rules.broadcasting import broadcasting


def test_a_rank_that_grows_unasked_is_found_with_its_shapes():
    column = gm.data(np.ones((3, 1)))
    model = gm.joint(a=dist.Normal(0.0, 1.0).expand([3]), w=column, y=lambda a, w: dist.Normal(a - w, 1.0))
    found = broadcasting(model.condition(y=np.zeros((3, 3))))
    assert found.status == "suspect"
    assert found.evidence == "p(y | a, w): subtract on shapes (3,) (3, 1)"
    with pytest.warns(gm.RankWarning):
        energy = gm.energy(lambda x, w: ((x - w) ** 2).sum(), x=gm.Real(3), w=column)
    assert "(3,) (3, 1)" in broadcasting(energy).evidence


def test_scalars_and_axes_that_were_added_are_fine():
    model = gm.joint(
        a=dist.Normal(0.0, 1.0), b=dist.Normal(0.0, 1.0).expand([3]), w=gm.data(np.ones((3, 2))),
        y=lambda a, b, w: dist.Normal(a + b[:, None] * w, 1.0),
    )  # fmt: skip
    assert broadcasting(model.condition(y=np.zeros((3, 2)))).status == "ok"
