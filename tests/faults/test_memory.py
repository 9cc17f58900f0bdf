"""The memory of a stored run against its length: peaks of processes of their own."""

import pytest

from tests.faults.test_many_processes import ended, start

CODE = """
import pathlib, re, sys
import tests.conftest
import gmdsl as gm
import gmdsl.run.storage.create as create
import gmdsl.run.storage.store as store
from tests.faults.walk import RandomWalk

store.HELD = create.HELD = 2**19  # so that even the shortest run fills what may be held between two commits
draws, path = int(sys.argv[1]), None if sys.argv[2] == "memory" else sys.argv[2]
bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(200))
gm.sample(bowl, RandomWalk(), chains=8, draws=draws, warmup=250, store=path, progress=False)
status = pathlib.Path("/proc/self/status").read_text()  # ru_maxrss would be that of the process that started this one
print(int(re.search(r"VmHWM:\\s*(\\d+) kB", status)[1]) / 1024)
"""
DRAWS = 2000  # of 8 x 200 numbers: 12.8 MB


def peak(draws, path):
    """Peak resident memory in MB."""
    return float(ended(start(["-c", CODE, draws, path])).split()[-1])


@pytest.mark.slow
def test_a_stored_run_of_sixteen_times_the_length_needs_no_more_memory(tmp_path):
    peak(DRAWS, tmp_path / "first.zarr")  # compiles, and keeps the programs for the others
    stored = [peak(DRAWS * times, tmp_path / f"{times}.zarr") for times in (1, 4, 16)]
    print("stored, 1 x, 4 x, 16 x:", stored)
    assert max(stored) - min(stored) < 40.0  # 5 % of what the draws of the longest need, twice, beside their copies
    assert peak(DRAWS * 16, "memory") - peak(DRAWS, "memory") > 300.0
