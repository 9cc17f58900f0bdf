import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.inference.path import Path, PathSampler


def test_a_path_holds_its_two_ends():
    target, reference = gm.energy(lambda x: x**4, x=gm.Real()), gm.joint(x=dist.Normal(0, 1))
    path = gm.temper(target, reference)
    assert isinstance(path, Path)
    assert path.target is target
    assert path.reference is reference
    assert isinstance(gm.AIS(gm.MALA()), PathSampler)
