"""One contender in a process of its own: it answers requests on standard input, one JSON object a line.

It imports a file such as `contenders/nuts_gmdsl.py` and takes `CONTENDERS[NAME]` from it, a function `case -> run`;
`run(seed)` does the work and returns None or a dict: `work`, how much was done (1 when it is not said); `draws`, an
array (chain, draw, dim) that is saved when asked; and numbers to report. The requests:

* `{"load": MODULE, "one_thread": bool}`, the first one: imports the file. Answers the seconds.
* `{"prepare": case, "name": NAME}`: builds the contender and makes the first call. Answers `wall` and `cpu`, seconds of
  both together after all imports.
* `{"run": seed, "repeat": n, "save": path}`: n calls with seeds from `seed` on. Answers the seconds of one of them on
  average, the work of one, and what the last one reported.

This file runs in every environment, so it needs the standard library alone.
"""

import functools
import importlib
import json
import os
import sys
import time
import traceback


def timed(act):
    """What `act()` returned, and its seconds by the wall and by the processor, all threads together."""
    began, before = time.perf_counter(), time.process_time()
    result = act()
    return result, {"wall": time.perf_counter() - began, "cpu": time.process_time() - before}


class Worker:
    """The state of the process: the run that was prepared last."""

    def __init__(self, contenders):
        self.contenders, self.run = contenders, None

    def answer(self, request):
        """The answer to one request."""
        if "prepare" in request:
            return self.prepare(request["name"], request["prepare"])
        return self.later(request["run"], request.get("repeat", 1), request.get("save"))

    def prepare(self, name, case):
        """Builds a contender and makes its first call."""
        self.run = None  # the one before may hold much memory

        def first():
            self.run = self.contenders[name](case)
            return self.run(0)

        return timed(first)[1]

    def later(self, seed, repeat, save):
        """Calls after the first one."""

        def calls():
            work, found = 0.0, {}
            for i in range(repeat):
                found = self.run(seed + i) or {}
                work += found.get("work", 1.0)
            return work, found

        (work, found), seconds = timed(calls)
        if save:
            import numpy as np

            np.save(save, np.asarray(found["draws"]))
        told = {key: value for key, value in found.items() if isinstance(value, int | float)}
        return {**told, **{key: value / repeat for key, value in seconds.items()}, "work": work / repeat}


def load(name, one_thread):
    """Imports the contenders of a file.

    XLA makes a pool of as many threads as there are cores to run on, whatever its flags say; with `one_thread` it
    makes it while there is one core. Afterwards the process may run on any of them.
    """
    cores = os.sched_getaffinity(0) if one_thread and hasattr(os, "sched_setaffinity") else None
    if cores:
        os.sched_setaffinity(0, {min(cores)})
    module = importlib.import_module(name)
    if "jax" in sys.modules:
        sys.modules["jax"].devices()
    if cores:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), cores)
    return module


def main():
    """Imports the contenders, says so, and answers until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error
    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if worker is None:
                loaded, answer = timed(functools.partial(load, request["load"], request["one_thread"]))
                worker = Worker(loaded.CONTENDERS)
            else:
                answer = worker.answer(request)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
