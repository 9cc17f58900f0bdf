import signal
import subprocess
import sys
import time

import pytest

import gmdsl as gm
import gmdsl.run.parallel.launch as launching
from gmdsl.run.parallel.launch import Job, free_port, launch

COUNTS = """
import os, pathlib, signal, sys
index, count = os.environ["GMDSL_PROCESS"].split("/")
here = pathlib.Path(sys.argv[1])
starts = here / f"starts-{index}"
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
print("process", index, "of", count, flush=True)
"""
DIES_TWICE = COUNTS + "if index == '1' and len(starts.read_text()) < 3: os.kill(os.getpid(), signal.SIGKILL)\n"
DIES_TWICE_AFTER_BOTH_COUNTED = (
    COUNTS
    + """
import time
mine, other = len(starts.read_text()), here / "starts-0"
while not other.exists() or len(other.read_text()) < mine:
    time.sleep(0.01)
if index == "1" and mine < 3:
    os.kill(os.getpid(), signal.SIGKILL)
"""
)
FAILS = COUNTS + "if index == '1': sys.exit('it is broken')\nimport time; time.sleep(60)\n"
WAITS = """
import os, pathlib, sys, time
index = os.environ["GMDSL_PROCESS"][0]
try:
    pathlib.Path(sys.argv[1], f"ready-{index}").touch()
    time.sleep(60)
except KeyboardInterrupt:
    pathlib.Path(sys.argv[1], f"stopped-{index}").touch()
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(launching, "PAUSE", 0.05)


def job(tmp_path, script, **settings):
    (tmp_path / "script.py").write_text(script)
    settings = {"logs": str(tmp_path / "logs"), "arguments": [str(tmp_path)], **settings}
    return Job(str(tmp_path / "script.py"), **settings)


def starts(tmp_path, count):
    return [len((tmp_path / f"starts-{index}").read_text()) for index in range(count)]


def test_every_process_is_told_its_place_and_prints_where_it_belongs(tmp_path, capfd):
    assert launch(job(tmp_path, COUNTS, processes=3)) == 0
    assert starts(tmp_path, 3) == [1, 1, 1]
    printed = capfd.readouterr()
    assert printed.out == "process 0 of 3\n"
    assert (tmp_path / "logs" / "process-2.log").read_text() == "process 2 of 3\n"
    assert "3 processes finished in" in printed.err


def test_a_process_that_was_killed_is_started_again_alone(tmp_path, capfd):
    assert launch(job(tmp_path, DIES_TWICE)) == 0
    assert starts(tmp_path, 2) == [1, 3]
    said = capfd.readouterr().err
    assert "process 1 was killed by SIGKILL; it starts again in 0.05 s (restart 1 of 3)" in said
    assert "it starts again in 0.1 s (restart 2 of 3)" in said
    assert "2 processes, after 2 restarts, finished" in said


def test_a_distributed_job_is_started_again_as_a_whole(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(Job, "command", property(lambda job: [sys.executable, job.script, *job.arguments]))
    assert launch(job(tmp_path, DIES_TWICE_AFTER_BOTH_COUNTED, distributed=True)) == 0
    assert starts(tmp_path, 2) == [3, 3]
    said = capfd.readouterr().err
    assert "all start again" in said
    assert "2 processes, after 2 restarts, finished" in said


def test_a_process_that_fails_for_good_stops_the_others_and_is_quoted(tmp_path, capfd):
    began = time.perf_counter()
    assert launch(job(tmp_path, FAILS, restarts=1)) == 1
    assert time.perf_counter() - began < 30
    assert starts(tmp_path, 2) == [1, 2]
    said = capfd.readouterr().err
    assert "process 1 failed with exit code 1 after 1 restarts; the others were stopped" in said
    assert said.endswith("  it is broken\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_passed_on_and_waited_for(tmp_path, number):
    asked = job(tmp_path, WAITS)
    command = [sys.executable, "-m", "gmdsl.cli", "launch", "--logs", asked.logs, asked.script, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not all((tmp_path / f"ready-{index}").exists() for index in range(2)):
            time.sleep(0.02)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "stopped. What was committed is safe" in said
    assert all((tmp_path / f"stopped-{index}").exists() for index in range(2))


def test_the_environment_has_devices_and_the_address_of_a_loopback_port(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--mine=1")
    asked = job(tmp_path, COUNTS, devices=3, distributed=True)
    found = asked.environment(1, 4321)
    assert found["GMDSL_PROCESS"] == "1/2"
    assert found["XLA_FLAGS"] == "--mine=1 --xla_force_host_platform_device_count=3"
    assert found["JAX_COORDINATOR_ADDRESS"] == "127.0.0.1:4321"
    assert asked.command[1:3] == ["-m", "gmdsl.run.parallel.worker"]
    assert "JAX_COORDINATOR_ADDRESS" not in job(tmp_path, COUNTS).environment(1, 4321)
    assert 1024 <= free_port() < 65536


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"processes": 0}, r"launch\(--processes 0\): a whole number from 1 on"),
        ({"restarts": -1}, r"launch\(--restarts -1\): a whole number from 0 on"),
        ({"devices": 0}, r"launch\(--devices 0\): a whole number from 1 on"),
    ],
)
def test_settings_are_checked(tmp_path, settings, message):
    with pytest.raises(gm.SpecError, match=message):
        launch(job(tmp_path, COUNTS, **settings))
    with pytest.raises(gm.SpecError, match="there is no such file"):
        launch(Job(str(tmp_path / "nothing.py")))
