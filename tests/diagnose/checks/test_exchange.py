import jax.numpy as jnp
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.diagnose.checks.exchange import exchange


def path(dim, precision):
    target = gm.energy(lambda x: precision * jnp.sum((x - 1.0) ** 2), x=gm.Real(dim))
    return gm.temper(target, gm.joint(x=dist.Normal(0.0, 1.0).expand([dim]).to_event(1)))


def test_copies_that_travel_are_ok_and_those_that_stay_are_suspect():
    settings = {"draws": 300, "warmup": 200, "progress": False}
    close = gm.sample(path(1, 1.0), gm.ParallelTempering(gm.MALA(), temperatures=3), **settings)
    assert exchange(close).status == "ok"
    assert "exchange" in str(gm.check(close))
    far = gm.sample(path(20, 40.0), gm.ParallelTempering(gm.MALA(), temperatures=2), **settings)
    found = exchange(far)
    assert found.status == "suspect"
    assert "0 round trips" in found.evidence
    assert gm.check(far).status != "ok"


def test_other_runs_are_not_concerned():
    assert exchange(gm.sample(path(1, 1.0).target, gm.HMC(), draws=20, warmup=20, progress=False)) is None
