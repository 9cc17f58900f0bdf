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


def test_a_path_is_printed_by_its_two_models():
    path = gm.temper(gm.energy(lambda x: x**4, x=gm.Real()), gm.joint(x=dist.Normal(0, 3)), gm.QPath(0.5))
    assert repr(path).splitlines() == [
        "Path(QPath(q=0.5))",
        "  reference: Model",
        "    p(x)  x ~ Normal(0, 3)",
        "      x: Real(), free",
        "  target: Model",
        "    energy(x)",
        "      x: Real(), free",
    ]
