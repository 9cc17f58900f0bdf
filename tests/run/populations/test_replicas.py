import numpy as np
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.run.populations.replicas import exchange_of, with_exchange


def test_a_tree_gets_what_its_stats_say_and_one_without_them_stays_as_it_is():
    target = gm.energy(lambda x: 0.5 * (x - 1.0) ** 2, x=gm.Real())
    path = gm.temper(target, gm.joint(x=dist.Normal(0.0, 1.0)))
    sampler = gm.ParallelTempering(gm.MALA(), temperatures=2)
    tree = gm.sample(path, sampler, draws=300, warmup=100, progress=False)
    found = exchange_of(path, sampler, tree)
    assert abs(found.log_z.log_z - 0.5 * np.log(2 * np.pi)) < 4.5 * found.log_z.standard_error
    assert tree.attrs["log_z"] == found.log_z.log_z == tree["posterior"].attrs["log_z"]
    np.testing.assert_array_equal(tree["tempering"]["betas"], tree["tuned"]["ladder"])
    plain = gm.sample(target, gm.HMC(), draws=20, warmup=20, progress=False)
    assert exchange_of(path, sampler, plain) is None
    assert "tempering" not in with_exchange(path, sampler, plain).children


def test_a_run_without_warmup_keeps_its_first_ladder():
    path = gm.temper(gm.energy(lambda x: 0.5 * x**2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, 1.0)))
    sampler = gm.ParallelTempering(gm.RandomWalk(), temperatures=(0.0, 0.5, 1.0))
    tree = gm.sample(path, sampler, draws=50, warmup=0, progress=False)
    np.testing.assert_allclose(tree["tempering"]["betas"][0], [0.0, 0.5, 1.0])
