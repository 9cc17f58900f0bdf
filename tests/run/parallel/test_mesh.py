import os
import pathlib
import subprocess
import sys

import jax
import pytest

import gmdsl as gm
from gmdsl.run.parallel.mesh import check_mesh, everywhere, over, spread

CODE = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
import tests.conftest, jax, numpy as np, gmdsl as gm
import gmdsl.run.chains.setup as setup
from gmdsl.run.progress import Progress
from tests.run.storage.test_store import equal, model

jax.config.update("jax_enable_x64", True)
assert jax.device_count() == 4

class Walk(gm.Sampler):
    step_size: float = 0.5
    adapts = gm.adapt.StepSize(target_accept=0.234)

    def step(self, key, target, x):
        key_move, key_accept = jax.random.split(key)
        proposal = x + self.step_size * jax.random.normal(key_move, x.shape)
        return gm.metropolis(key_accept, x, proposal, target.log_density(proposal) - target.log_density(x))

settings = dict(chains=8, draws=60, warmup=70, seed=2, progress=False)
for sampler in (Walk(), gm.NUTS()):
    alone = gm.sample(model(), sampler, **settings)
    for mode in ("vmap", "map"):
        wide = gm.sample(model(), sampler, mesh=gm.mesh(), chain_mode=mode, **settings)
        # early draws, before rounding has grown
        first = [tree["warmup_posterior"]["theta"].values[:, :30] for tree in (wide, alone)]
        np.testing.assert_allclose(*first, rtol=1e-6)

setup.CAPACITY = 25
advance, calls = Progress.advance, []
def interrupted(*args):
    advance(*args)
    calls.append(args)
    if len(calls) == 4:
        raise KeyboardInterrupt
Progress.advance = interrupted
path = pathlib.Path(sys.argv[2]) / "run.zarr"
gm.sample(model(), Walk(), mesh=gm.mesh(), store=path, **settings)
Progress.advance = advance
whole = gm.sample(model(), Walk(), mesh=gm.mesh(), **settings)
equal(gm.resume(path, model(), Walk(), mesh=gm.mesh(), progress=False), whole)
for chains, mesh in ((6, gm.mesh()), (8, gm.mesh(jax.devices()[:3]))):
    try:
        gm.sample(model(), Walk(), mesh=mesh, **{**settings, "chains": chains})
    except gm.SpecError as error:
        print(error)
try:
    gm.resume(path, model(), Walk(), draws=90, progress=False)
except gm.SpecError as error:
    print(error)
"""


def test_four_devices_draw_what_one_does_and_resume_to_the_same_bits(tmp_path):
    root = str(pathlib.Path(__file__).parents[3])
    flags = "--xla_force_host_platform_device_count=4 --xla_cpu_multi_thread_eigen=false"
    environment = {**os.environ, "XLA_FLAGS": flags}
    command = [sys.executable, "-W", "ignore", "-c", CODE, root, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second, third = done.stdout.strip().splitlines()
    assert "4 devices cannot share 6 chains evenly. Take chains=8" in first
    assert "3 devices cannot share 8 chains evenly. Take chains=9" in second
    assert "the number of devices differs: 4 in the store, 1 now" in third


def test_a_mesh_of_one_device_changes_nothing():
    ring = gm.energy(lambda x: x @ x, x=gm.Real(2))
    settings = {"chains": 2, "draws": 20, "warmup": 20, "progress": False}
    wide = gm.sample(ring, gm.MALA(), mesh=gm.mesh(), **settings)
    alone = gm.sample(ring, gm.MALA(), **settings)
    assert (wide["posterior"]["x"].values == alone["posterior"]["x"].values).all()


def test_what_is_no_mesh_is_refused():
    with pytest.raises(gm.SpecError, match=r"Make one by gm\.mesh"):
        check_mesh(4, 4)
    with pytest.raises(gm.SpecError, match="at least one device"):
        gm.mesh([])
    other = jax.make_mesh((1,), ("data",))
    with pytest.raises(gm.SpecError, match="a mesh of chains"):
        check_mesh(other, 4)


def test_without_a_mesh_nothing_is_moved_or_wrapped():
    assert over(None, max) is max
    assert spread(None, 3) == everywhere(None, 3) == 3
