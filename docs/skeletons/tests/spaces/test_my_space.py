import numpy as np
from scipy import stats

import gmdsl as gm


def test_it_holds_what_is_below_zero_and_moves_to_the_real_line(x64):
    space = gm.MySpace(2)
    assert space.contains(np.array([-1.0, -0.1]))
    assert not space.contains(np.array([-1.0, 0.1]))
    density = gm.compile(gm.energy(lambda x: -x, x=gm.MySpace()))  # minus an exponential variable; log |x| is Gumbel's
    free = density.unconstrain({"x": -0.4})
    np.testing.assert_allclose(density.target.log_density(free), stats.gumbel_l.logpdf(np.log(0.4)), rtol=1e-9)
