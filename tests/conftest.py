"""Shared by all tests: one thread per worker, compiled programs kept between runs, 64-bit on request."""

import datetime
import gc
import os
import pathlib
import signal
import zlib

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import pytest

from gmdsl.compiler import many_models
from gmdsl.compiler.program import programs_made

MAPS = 20_000  # of 65,530; one file of tests makes up to some thousands
CACHE = pathlib.Path(__file__).parent.parent / ".jax_cache"
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def pytest_collection_modifyitems(config, items):
    """With GMDSL_TESTS=rotating three quarters of the files stay out, others each day; faults never do."""
    if os.environ.get("GMDSL_TESTS") != "rotating":
        return
    today = datetime.datetime.now(datetime.UTC).date().toordinal()
    root = pathlib.Path(__file__).parent

    def out(item):
        place = item.path.relative_to(root) if item.path.is_relative_to(root) else pathlib.Path("elsewhere")
        return place.parts[0] != "faults" and zlib.crc32(str(place).encode()) % 4 != today % 4

    left = [item for item in items if out(item)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if not out(item)]


@pytest.fixture(autouse=True, scope="module")
def few_maps():
    """Drops compiled programs before they have as many memory maps as Linux allows a process; XLA aborts there."""
    yield
    maps = pathlib.Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(autouse=True, scope="session")
def ctrl_c():
    """Ctrl-C is heard, also where a shell has started the tests in the background and switched it off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def cpu():
    """Leaves out, on an accelerator, what is done on CPUs alone."""
    if jax.default_backend() != "cpu":
        pytest.skip("this is done on CPUs alone: cores share chains, products are rewritten; JAX_PLATFORMS=cpu runs it")


@pytest.fixture
def x64():
    """Runs the test in 64-bit precision."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def compilations(monkeypatch):
    """A list that grows by one with every program that XLA is asked to compile; none is given back meanwhile."""
    from jax._src import monitoring

    monkeypatch.setattr(many_models._Last, "made", programs_made())
    found = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    monitoring.unregister_event_duration_listener(listen)
