import warnings

import pytest

import gmdsl as gm
from gmdsl.run.parallel.launch import free_port
from gmdsl.run.storage.layout import opened
from tests.faults import walk
from tests.faults.test_many_processes import CPU, FOUR, ended, start
from tests.run.storage.test_store import equal

TWO = f"{CPU} --xla_force_host_platform_device_count=2"
CODE = """
import sys, time
index, port, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
import jax
import tests.conftest
address = f"127.0.0.1:{port}"
jax.distributed.initialize(address, 2, index, coordinator_bind_address=address)
import gmdsl as gm
from tests.faults import walk

settings = {**walk.SETTINGS, "warmup": 50, "draws": 60}
how = {"mesh": gm.mesh(), **settings}
gm.sample(walk.model(), walk.RandomWalk(), **how).to_zarr(f"{path}/{index}.zarr", consolidated=False)
gm.sample(walk.model(), walk.RandomWalk(), store=f"{path}/run.zarr", **how)
for change in ({"store": f"{path}/run.zarr"}, {"store": f"{path}/other.zarr", "draws": 60 + index}):
    try:
        gm.sample(walk.model(), walk.RandomWalk(), **{**how, **change})
    except gm.SpecError as error:
        print(error, flush=True)
gm.resume(f"{path}/run.zarr", walk.model(), walk.RandomWalk(), mesh=gm.mesh(), progress=False)
"""
REFERENCE = """
import sys, tests.conftest, gmdsl as gm
from tests.faults import walk
settings = {**walk.SETTINGS, "warmup": 50, "draws": 60, "mesh": gm.mesh()}
gm.sample(walk.model(), walk.RandomWalk(), store=sys.argv[1], **settings)
"""


def test_two_processes_of_two_devices_each_have_the_bits_of_one_with_four(tmp_path):
    port = free_port()
    processes = [start(["-c", CODE, index, port, tmp_path], TWO) for index in range(2)]
    said = [ended(process) for process in processes]
    for words in said:
        assert "there is a run already" in words
        assert "the processes were given different stores, models, samplers or settings" in words
    assert not (tmp_path / "other.zarr").exists()
    ended(start(["-c", REFERENCE, tmp_path / "four.zarr"], FOUR))
    four = opened(tmp_path / "four.zarr", 110, 50)
    equal(opened(tmp_path / "run.zarr", 110, 50), four)
    for index in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import xarray

            equal(xarray.open_datatree(tmp_path / f"{index}.zarr", engine="zarr", consolidated=False), four)


def test_a_run_in_memory_under_gmdsl_launch_is_whole_and_says_so(monkeypatch):
    monkeypatch.setenv("GMDSL_PROCESS", "1/2")
    settings = {**walk.SETTINGS, "warmup": 20, "draws": 20}
    with pytest.warns(UserWarning, match="only runs with store= are shared among the processes of gmdsl launch"):
        tree = gm.sample(walk.model(), walk.RandomWalk(), **settings)
    monkeypatch.delenv("GMDSL_PROCESS")
    equal(tree, gm.sample(walk.model(), walk.RandomWalk(), **settings))
