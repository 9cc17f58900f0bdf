import subprocess
import sys

import pytest

import gmdsl as gm
from gmdsl.run.storage.lock import locked

HOLDER = """
import pathlib, sys
from gmdsl.run.storage.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_held_by_one_process_and_freed_by_its_death(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(gm.SpecError, match="another process is running these chains"), locked(tmp_path):
            pass
        other.kill()
        other.wait()
        with locked(tmp_path):
            pass


def test_a_run_that_is_going_on_cannot_be_resumed_beside_it(tmp_path):
    bowl = gm.energy(lambda x: x @ x, x=gm.Real(2))
    path = tmp_path / "run.zarr"
    gm.sample(bowl, gm.MALA(), draws=10, warmup=10, store=path, progress=False)
    with locked(path / "state"), pytest.raises(gm.SpecError, match="another process is running these chains"):
        gm.resume(path, bowl, gm.MALA(), progress=False)
    assert gm.resume(path, bowl, gm.MALA(), progress=False)["posterior"].sizes["draw"] == 10
