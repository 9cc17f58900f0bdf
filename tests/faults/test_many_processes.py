"""A custom sampler on several devices and in several processes, killed at random moments: the bits must not change."""

import atexit
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

import gmdsl as gm
from gmdsl.run.parallel.placement import Share
from gmdsl.run.storage.checkpoint import done
from gmdsl.run.storage.layout import folder, opened, shares
from tests.faults import walk
from tests.run.storage.test_store import equal

ROOT = str(pathlib.Path(__file__).parent.parent.parent)
TOTAL = walk.WARMUP + walk.DRAWS
LAUNCH = """
import sys
import gmdsl.run.parallel.launch as launch
from gmdsl.cli import main

launch.PAUSE = 0.05
launch.LONGEST = 0.1
sys.exit(main(["launch", "--restarts", "100", *sys.argv[1:]]))
"""
BYTECODE = tempfile.TemporaryDirectory(prefix="gmdsl-bytecode-")  # so that the second start is quick
atexit.register(BYTECODE.cleanup)
CPU = "--xla_cpu_multi_thread_eigen=false"
FOUR = f"{CPU} --xla_force_host_platform_device_count=4"


def start(words, flags=CPU):
    """A process that runs Python with these words."""
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": ROOT, "PYTHONPYCACHEPREFIX": BYTECODE.name}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", *map(str, words)], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ended(process):
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said[-3000:]
    return said


def tree(path):
    return opened(path, TOTAL, walk.WARMUP)


def stands(path, index):
    """Records that the share has committed."""
    count = shares(path)
    return done(folder(path, Share(index, count))) if count else 0


def patient(path, process, index, rng):
    """Waits for a random number of commits and a random time more; whether the process is there to be killed."""
    first, most = stands(path, index), rng.integers(1, 4) * walk.BLOCK
    while process.poll() is None and stands(path, index) < min(first + most, TOTAL - 1):
        time.sleep(0.002)
    time.sleep(rng.uniform(0.0, 0.1))
    return process.poll() is None and stands(path, index) < TOTAL


def kill(path, index):
    """Kills the process of a place with SIGKILL; where its chains stood then, None where it is between two lives."""
    pid = int(pathlib.Path(f"{path}.pid-{index}").read_text())
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return stands(path, index)


def killed_and_started_again(path, rounds, rng):
    """A run on four devices that is killed and resumed until it has come to its end."""
    stood, script = [], pathlib.Path(walk.__file__)
    while True:
        process = start([script, path, "mesh", "again"], FOUR)
        if len(stood) < rounds and patient(path, process, 0, rng):
            stood.append(kill(path, 0))
            process.communicate()
        else:
            ended(process)
            return stood


def launched(path, rounds, rng, *words, script=()):
    """A run under `gmdsl launch` of which a random process is killed, again and again."""
    process = start(["-c", LAUNCH, *words, pathlib.Path(walk.__file__), path, *script])
    stood = []
    while len(stood) < rounds:
        index = int(rng.integers(2))
        if stands(path, index) >= TOTAL:
            index = 1 - index
        if not patient(path, process, index, rng):
            break
        at = kill(path, index)
        stood += [] if at is None else [at]
    said = ended(process)
    assert said.count("was killed by SIGKILL") == len(stood), said
    return stood


def distributed(path, rounds, rng):
    return launched(path, rounds, rng, "--distributed", "--devices", 2, script=["mesh"])


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    """The undisturbed runs: in one process, and on four devices of one process."""
    path = tmp_path_factory.mktemp("exact") / "run.zarr"
    ended(start([walk.__file__, path, "mesh"], FOUR))
    alone = gm.sample(walk.model(), walk.RandomWalk(), chain_mode="map", **walk.SETTINGS)
    return {"alone": alone, "four devices": tree(path)}


WAYS = {
    "four devices": (killed_and_started_again, "four devices"),
    "gmdsl launch": (launched, "alone"),
    "jax.distributed": (distributed, "four devices"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_custom_sampler_that_is_killed_three_times_ends_in_the_same_bits(tmp_path, exact, way):
    run, like = WAYS[way]
    stood = run(tmp_path / "run.zarr", 3, np.random.default_rng(1))
    assert len(stood) == 3
    assert min(stood) < walk.WARMUP
    equal(tree(tmp_path / "run.zarr"), exact[like])


def test_a_launched_run_that_was_stopped_by_ctrl_c_goes_on_by_the_same_command(tmp_path, exact):
    path = tmp_path / "run.zarr"
    process = start(["-c", LAUNCH, walk.__file__, path])
    while stands(path, 0) < 3 * walk.BLOCK:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert 0 < stands(path, 0) < TOTAL
    launched(path, 0, None)
    equal(tree(path), exact["alone"])


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_custom_sampler_that_is_killed_twenty_times_ends_in_the_same_bits(tmp_path, exact, way):
    (run, like), rng, stood = WAYS[way], np.random.default_rng(2), []
    while len(stood) < 20:
        path = tmp_path / f"run{len(stood)}.zarr"
        stood += run(path, 20 - len(stood), rng)
        equal(tree(path), exact[like])
    print(way, sorted(stood))
    assert len(set(stood)) >= 8
    assert sum(done < walk.WARMUP for done in stood) >= 5
    assert max(stood) > walk.WARMUP
