import numpy as np

import gmdsl as gm


def test_drift_and_diffusion_are_those_of_ornstein_and_uhlenbeck(x64):
    process = gm.MyProcess()
    for t in (0.1, 1.0, 4.0):
        np.testing.assert_allclose(process.drift(t), -1.0, rtol=1e-9)
        np.testing.assert_allclose(process.diffusion(t), np.sqrt(2.0), rtol=1e-9)
