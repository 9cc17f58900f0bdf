"""`gmdsl launch`: a script in several processes that share the chains of its stored runs, started again when they die.

Each process is told its place (`gmdsl.run.parallel.placement`) and writes its chains into files of its own in one
store. One that dies is started again, after a pause that doubles each time, and goes on from its last commit; the
others do not notice. As one job of `jax.distributed` they are connected by JAX, which cannot take a process back: when
one dies all are stopped and started again.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from gmdsl.core.errors import SpecError
from gmdsl.run.parallel.placement import VARIABLE

LOOK = 0.05  # seconds between two looks at the processes
PAUSE = 0.5  # seconds before the first restart; doubled at each one after it, up to the longest
LONGEST = 30.0
HEALTHY = 600.0  # seconds after which a process that dies is given all its restarts again
PATIENCE = 30.0  # seconds that a process may take to stop after Ctrl-C
TAIL = 15  # lines of a log that are shown
STOPPED = 130  # the exit code after Ctrl-C


@dataclass(frozen=True)
class Job:
    """What is started.

    Attributes:
        script: the path of a Python file.
        arguments: its words.
        processes: how many.
        restarts: how often a process may be started again; the whole job when it is distributed.
        devices: devices that each process sees, on a CPU.
        distributed: whether JAX connects the processes.
        logs: folder of what all but the first process print; a temporary one when None.
    """

    script: str
    arguments: Sequence[str] = ()
    processes: int = 2
    restarts: int = 3
    devices: int = 1
    distributed: bool = False
    logs: str | None = None

    def check(self) -> None:
        """Refuses settings out of range.

        Raises:
            SpecError: says which.
        """
        if not pathlib.Path(self.script).is_file():
            raise SpecError(f"launch({self.script}): there is no such file. Give the path of a Python script.")
        for name, least in (("processes", 1), ("restarts", 0), ("devices", 1)):
            if getattr(self, name) < least:
                raise SpecError(f"launch(--{name} {getattr(self, name)}): a whole number from {least} on is needed.")

    def environment(self, index: int, port: int) -> dict[str, str]:
        """The environment of a process."""
        found = {**os.environ, VARIABLE: f"{index}/{self.processes}"}
        if self.devices > 1:
            forced = f"--xla_force_host_platform_device_count={self.devices}"
            found["XLA_FLAGS"] = f"{found.get('XLA_FLAGS', '')} {forced}".strip()
        if self.distributed:
            found["JAX_COORDINATOR_ADDRESS"] = f"127.0.0.1:{port}"
        return found

    @property
    def command(self) -> list[str]:
        """The command of every process."""
        through = ["-m", "gmdsl.run.parallel.worker"] if self.distributed else []
        return [sys.executable, *through, self.script, *self.arguments]


@dataclass
class Worker:
    """One place of a job: the process in it, and how it went."""

    index: int
    log: pathlib.Path
    process: Any = None
    restarts: int = 0
    began: float = 0.0
    due: float = 0.0
    finished: bool = False

    def start(self, job: Job, port: int) -> None:
        """Starts the process; the first one prints where the launcher does, the others into their logs."""
        environment, self.began = job.environment(self.index, port), time.perf_counter()
        with self.log.open("ab") as log:
            given: dict[str, Any] = {} if self.index == 0 else {"stdout": log, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(job.command, env=environment, start_new_session=True, **given)

    def send(self, number: int) -> None:
        """Sends a signal to the process, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


@dataclass
class _Asked:
    """How often somebody asked to stop."""

    times: int = 0
    before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.before[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _count(self, *_: object) -> None:
        self.times += 1


def launch(job: Job) -> int:
    """Runs a job to its end.

    Args:
        job: what is started.

    Returns:
        An exit code: 0 when every process has finished, 1 when one failed for good, 130 after Ctrl-C.

    Raises:
        SpecError: settings out of range.
    """
    job.check()
    began = time.perf_counter()
    logs = pathlib.Path(job.logs or tempfile.mkdtemp(prefix="gmdsl-launch-"))
    logs.mkdir(parents=True, exist_ok=True)
    workers = [Worker(index, logs / f"process-{index}.log") for index in range(job.processes)]
    port = free_port()
    with _Asked() as asked:
        try:
            while not asked.times and not all(worker.finished for worker in workers):
                for worker in workers:
                    if worker.process is None and not worker.finished and time.perf_counter() >= worker.due:
                        worker.start(job, port)
                failed = _find_failed(workers)
                if failed is not None and not _again(job, workers, failed):
                    _stop(workers, asked)
                    return _given_up(failed)
                port = free_port() if failed is not None else port
                time.sleep(LOOK)
            if asked.times:
                _stop(workers, asked)
                _say("stopped. What was committed is safe; start the same command again to go on")
                return STOPPED
        finally:
            for worker in workers:
                worker.send(signal.SIGKILL)
    _say(f"{_summary(job, workers)} finished in {time.perf_counter() - began:.1f} s; logs in {logs}")
    return 0


def free_port() -> int:
    """A port of the loopback interface that nobody uses now.

    >>> free_port() > 0
    True
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _find_failed(workers: list[Worker]) -> Worker | None:
    """The first process that has died since the last look; notes those that have finished."""
    for worker in workers:
        if worker.process is not None and worker.process.poll() is not None:
            if worker.process.returncode:
                return worker
            worker.process, worker.finished = None, True
    return None


def _again(job: Job, workers: list[Worker], failed: Worker) -> bool:
    """Has a process started again, with all others where JAX connects them; whether it may be."""
    if time.perf_counter() - failed.began > HEALTHY:
        failed.restarts = 0
    if failed.restarts >= job.restarts:
        return False
    pause = min(LONGEST, PAUSE * 2**failed.restarts)
    how = "all start again" if job.distributed else "it starts again"
    _say(
        f"process {failed.index} {_end(failed)}; {how} in {pause:g} s (restart {failed.restarts + 1} of {job.restarts})"
    )
    count = failed.restarts + 1
    for worker in workers if job.distributed else [failed]:
        worker.send(signal.SIGKILL)
        if worker.process is not None:
            worker.process.wait()
        worker.process, worker.finished, worker.restarts = None, False, count
        worker.due = time.perf_counter() + pause
    return True


def _stop(workers: list[Worker], asked: _Asked) -> None:
    """Passes Ctrl-C on and waits until all have committed; a second Ctrl-C kills them."""
    before, until = asked.times, time.perf_counter() + PATIENCE
    for worker in workers:
        worker.send(signal.SIGINT)
    while any(worker.process is not None and worker.process.poll() is None for worker in workers):
        if asked.times > before or time.perf_counter() > until:
            for worker in workers:
                worker.send(signal.SIGKILL)
        time.sleep(LOOK)


def _given_up(failed: Worker) -> int:
    """Says which process failed for good, and what it said last."""
    lines = failed.log.read_text(errors="replace").splitlines()[-TAIL:]
    said = "".join(f"\n  {line}" for line in lines)
    _say(
        f"process {failed.index} {_end(failed)} after {failed.restarts} restarts; the others were stopped. What was"
        f" committed is safe: mend it and start the same command again.{said}"
    )
    return 1


def _summary(job: Job, workers: list[Worker]) -> str:
    restarts = [worker.restarts for worker in workers]
    count = max(restarts) if job.distributed else sum(restarts)
    many = f"{job.processes} process{'es' if job.processes > 1 else ''}"
    return many if not count else f"{many}, after {count} restart{'s' if count > 1 else ''},"


def _end(worker: Worker) -> str:
    code = worker.process.returncode
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"


def _say(text: str) -> None:
    print(f"gmdsl launch: {text}", file=sys.stderr, flush=True)
