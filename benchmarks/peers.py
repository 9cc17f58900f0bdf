"""Where the contenders live, in which surroundings they run, and what is installed there.

A peer is a folder beside this file, `.venv-NAME`, made from `requirements-NAME.txt` as the README says. One that is
missing is skipped, and named.
"""

import datetime
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
OWN = "gmdsl"  # the project's environment, NumPyro's too
ENVIRONMENTS = (OWN, "blackjax", "nutpie", "torch")
ONE_THREAD = {  # the same for all contenders of a table
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
SHOWN = ("gmdsl", "jax", "jaxlib", "numpy", "numpyro", "blackjax", "equinox", "flax", "optax", "nutpie", "pymc",
         "numba", "torch", "torchebm", "ebmkit")  # fmt: skip
ASK = (
    "import importlib.metadata as m, json, sys; d = {x.metadata['Name'].lower(): x.version for x in m.distributions()};"
    "print(json.dumps({n: d[n] for n in sys.argv[1:] if n in d}))"
)


def interpreter(environment):
    """The Python of an environment; None when it is not installed."""
    if environment == OWN:
        return sys.executable
    folder = HERE / f".venv-{environment}"
    path = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return str(path) if path.exists() else None


def surroundings(one_thread=False, **more):
    """The variables of a contender's process: on the host, without a cache of programs but the one that is given.

    Modules are compiled once, as they are wherever Python may write; this counts where a start is timed.
    """
    dropped = ("JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    always = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "", "GMDSL_CACHE": "off", "PYTHONWARNINGS": "ignore"}
    return {**kept, **always, **(ONE_THREAD if one_thread else {}), **more}


def empty_caches(folder):
    """The variables that keep what peers compile in a folder, and not where an earlier process left it."""
    return {"NUMBA_CACHE_DIR": folder, "PYTENSOR_FLAGS": f"base_compiledir={folder}"}


def missing(environments):
    """Those that are not installed."""
    return [name for name in environments if interpreter(name) is None]


@functools.cache
def machine():
    """What the numbers belong to: processor, cores, versions by environment, the day."""
    versions = {}
    for environment in ENVIRONMENTS:
        python = interpreter(environment)
        if python is not None:
            done = subprocess.run([python, "-c", ASK, *SHOWN], capture_output=True, text=True, check=True)
            versions[environment] = {"python": _python(python), **json.loads(done.stdout)}
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "revision": _revision(),
        "versions": versions,
    }


def described():
    """The machine in one line."""
    found = machine()
    own = {**found["versions"].get("torch", {}), **found["versions"].get("nutpie", {})}
    own = {**own, **found["versions"].get("blackjax", {}), **found["versions"][OWN]}
    names = ", ".join(f"{name} {own[name]}" for name in SHOWN if name in own and name not in ("gmdsl", "jaxlib"))
    return f"{found['processor']}, {found['cores']} cores; {names}; {found['date']}"


def _python(python):
    return subprocess.run([python, "-c", "import platform; print(platform.python_version())"], capture_output=True,
                          text=True, check=True).stdout.strip()  # fmt: skip


def _processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _revision():
    done = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or importlib.metadata.version("gmdsl")
