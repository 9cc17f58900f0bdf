"""Runs that are killed, damaged, forked or batched in another way: what must not change are the bits."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.run.storage.checkpoint import files
from tests.run.storage.test_store import equal, model, run
from tests.run.test_resume import stopped

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
WORKER = """
import sys
sys.path.insert(0, sys.argv[2])
import tests.conftest
import gmdsl as gm
import gmdsl.run.chains.setup as setup
from gmdsl.run.progress import Progress
from tests.run.storage.test_store import model

setup.CAPACITY = 25
advance = Progress.advance
Progress.advance = lambda *args: (advance(*args), print("block", flush=True))
path = sys.argv[1]
try:
    gm.resume(path, model(), gm.NUTS(), checkpoint_every=25, progress=False)
except gm.SpecError:
    settings = dict(chains=2, draws=400, warmup=200, seed=3, progress=False)
    gm.sample(model(), gm.NUTS(), store=path, checkpoint_every=25, **settings)
"""


def killed(path, rounds, rng):
    """Starts or resumes the run and kills it with SIGKILL at a random moment, again and again; where it stood then."""
    stood = []
    while len(stood) < rounds:
        arguments = [sys.executable, "-W", "ignore", "-c", WORKER, path, ROOT]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(rng.integers(3, 10)):
                process.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.05))
            process.kill()
        if process.returncode == 0:  # it came to its end first
            break
        assert process.returncode == -signal.SIGKILL
        stood.append(int(files(path / "state")[0].name.removesuffix(".state")))
    return stood


def undisturbed():
    return run(draws=400, warmup=200)


def test_a_run_that_was_killed_at_random_moments_ends_in_the_same_bits(tmp_path):
    path = tmp_path / "run.zarr"
    stood = killed(path, 3, np.random.default_rng(0))
    assert len(set(stood)) >= 2
    assert min(stood) > 0
    equal(gm.resume(path, model(), gm.NUTS(), progress=False), undisturbed())


@pytest.mark.slow
def test_two_hundred_kills_in_many_runs_all_end_in_the_same_bits(tmp_path):
    rng, exact, kills, number = np.random.default_rng(1), undisturbed(), 0, 0
    while kills < 200:
        path, number = tmp_path / f"run{number}.zarr", number + 1
        kills += len(killed(path, 10, rng))
        equal(gm.resume(path, model(), gm.NUTS(), progress=False), exact)


def flipped(content):
    return content[:-100] + bytes([content[-100] ^ 255]) + content[-99:]


@pytest.mark.parametrize(
    "damage", [lambda c: c[: len(c) // 2], flipped, lambda c: b""], ids=["cut", "flipped", "empty"]
)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_serves(tmp_path, monkeypatch, damage):
    path = tmp_path / "run.zarr"
    stopped(monkeypatch, path, 6, checkpoint_every=60)
    newer, older = files(path / "state")
    newer.write_bytes(damage(newer.read_bytes()))
    with pytest.warns(UserWarning, match=f"{newer.name} is damaged .* the one before it is used"):
        equal(gm.resume(path, model(), gm.NUTS(), progress=False), run())
    assert older.name < newer.name


def test_a_checkpoint_of_another_model_is_refused_and_stays_usable(tmp_path, monkeypatch):
    path = tmp_path / "run.zarr"
    stopped(monkeypatch, path, 3, checkpoint_every=30)
    other = gm.joint(z=dist.Normal(0.0, 1.0).expand([4]))
    with pytest.raises(gm.SpecError, match="the model differs"):
        gm.resume(path, other, gm.NUTS(), progress=False)
    equal(gm.resume(path, model(), gm.NUTS(), progress=False), run())


@pytest.mark.parametrize("sampler", [gm.NUTS(), gm.HMC(), gm.MALA()], ids=lambda s: type(s).__name__)
def test_chains_side_by_side_and_one_after_the_other_give_the_same_draws(x64, sampler):
    settings = {
        "chains": 4,
        "draws": 50,
        "warmup": 0,
        "seed": 5,
        "progress": False,
        "init": {"tau": 1.0, "theta": [0.1] * 3},
    }
    modes = [gm.sample(model(), sampler, chain_mode=mode, **settings)["posterior"] for mode in ("vmap", "map", "tile")]
    for other in modes[1:]:
        np.testing.assert_allclose(other["theta"].values, modes[0]["theta"].values, rtol=1e-6)


def test_chains_in_processes_of_their_own_give_the_same_draws(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); import tests.conftest, gmdsl as gm\n"
        "from tests.run.storage.test_store import run\n"
        "run(sys.argv[1], draws=50, warmup=50)"
    )
    path = tmp_path / "run.zarr"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, path, ROOT], check=True)
    there = gm.resume(path, model(), gm.NUTS(), progress=False)
    here = run(draws=50, warmup=50)
    np.testing.assert_allclose(there["posterior"]["theta"].values, here["posterior"]["theta"].values, rtol=1e-6)
