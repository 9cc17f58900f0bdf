import numpy as np

import gmdsl as gm


def test_weights_give_the_constant_of_a_gaussian():
    bowl = gm.energy(lambda x: 0.5 * ((x - 1.0) ** 2).sum(), x=gm.Real(2))
    z = gm.log_z(bowl, gm.MyGenerator(), draws=20_000)
    assert abs(z.log_z - np.log(2.0 * np.pi)) < 4.5 * z.standard_error < 0.1  # false alarms 7e-6
