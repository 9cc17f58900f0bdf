import numpy as np
import numpyro.distributions as dist

import gmdsl as gm


def test_the_constant_of_a_gaussian_is_found_within_its_error():
    bowl, wide = gm.energy(lambda x: 0.5 * (x - 1.0) ** 2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 3.0))
    z = gm.log_z(gm.temper(bowl, wide), gm.MyPathSampler(20_000))
    assert abs(z.log_z - 0.5 * np.log(2.0 * np.pi)) < 4.5 * z.standard_error < 0.1  # false alarms 7e-6
