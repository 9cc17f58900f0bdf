import gc
import threading

import jax.numpy as jnp
import pytest

import gmdsl as gm
from gmdsl.compiler.program import Program
from gmdsl.run.chains import ahead_of_time
from gmdsl.run.chains.setup import RunPlan, prepared


def bowl(scale):
    return gm.energy(lambda x: scale * x @ x + jnp.cos(x[0]), x=gm.Real(3))


def run(scale, **changes):
    return gm.sample(bowl(scale), gm.HMC(), **{"draws": 5, "warmup": 5, "progress": False, **changes})


def test_the_programs_are_compiled_by_other_threads_and_the_calls_find_them(compilations, monkeypatch):
    seen, compiled = [], ahead_of_time._compile

    def spied(lowered):
        compiled(lowered)
        seen.append((threading.current_thread().name, len(compilations)))

    monkeypatch.setattr(ahead_of_time, "_compile", spied)
    before = len(compilations)
    run(0.501)
    assert [name for name, _ in seen] == ["gmdsl compiles"] * 2
    assert seen[-1][1] - before == len(compilations) - before == 2  # the starts and the block, each once


def test_the_density_is_traced_once_for_the_starts_and_the_block(monkeypatch):
    seen, density = [], Program.flat_log_density
    monkeypatch.setattr(Program, "flat_log_density", lambda *given: seen.append(1) or density(*given))
    for i, (sampler, chains) in enumerate(((gm.HMC(), 4), (gm.Langevin(), 100), (gm.NUTS(), 4))):
        seen.clear()
        gm.sample(bowl(0.51 + 0.001 * i), sampler, chains=chains, draws=5, warmup=0, progress=False)
        assert len(seen) == 1


def test_the_starts_are_waited_for_before_they_are_used(monkeypatch):
    begun, go = threading.Event(), threading.Event()

    def slow(lowered):
        begun.set()
        go.wait()

    monkeypatch.setattr(ahead_of_time, "_compile", slow)
    setup = prepared(gm.compile(bowl(0.504)), gm.HMC(), RunPlan(4, 5, 5, 0, 1, "map"))
    programs = setup.density.target, setup.arrays, setup.keys, 4
    with_starts = ahead_of_time.compile_ahead([stage for stage, _ in setup.stages(0)], *programs)
    waiting = threading.Thread(target=with_starts.wait_for_starts)
    waiting.start()
    waiting.join(0.05)
    assert begun.is_set()
    assert waiting.is_alive()
    go.set()
    waiting.join(10.0)
    assert not waiting.is_alive()
    with_starts.wait()


def test_a_block_that_was_compiled_is_not_compiled_ahead_again(monkeypatch):
    run(0.502)
    begun = []
    monkeypatch.setattr(ahead_of_time, "_compile", begun.append)
    run(0.502, seed=4, draws=9)
    assert begun == []


def test_what_the_sampler_says_while_it_is_traced_is_raised_as_it_is():
    class Wrong(gm.RandomWalk):
        def step(self, key, target, state):
            raise gm.SpecError("Wrong: no step.")

    with pytest.raises(gm.SpecError, match=r"^Wrong: no step\.$"):
        gm.sample(bowl(0.503), Wrong(), draws=5, warmup=5, progress=False)


def test_a_compilation_that_fails_ahead_is_left_to_the_call(monkeypatch):
    class Lowered:
        def compile(self):
            raise RuntimeError("no memory")

    compiled, failed = ahead_of_time._compile, []

    def fails(lowered):
        compiled(Lowered())
        failed.append(lowered)

    monkeypatch.setattr(ahead_of_time, "_compile", fails)
    tree = run(0.505)
    assert len(failed) == 2  # the starts and the block
    assert tree["posterior"].sizes["draw"] == 5


def test_garbage_is_searched_for_while_xla_works():
    """Tracing holds the search off; a wait for a thread that works makes up for it, one for none does not."""
    seen, done = [], threading.Event()
    count = lambda phase, info: seen.append(info["generation"]) if phase == "start" else done.set()  # noqa: E731
    thread = threading.Thread(target=done.wait)
    gc.callbacks.append(count)
    try:
        thread.start()
        ahead_of_time.Ahead(None, (thread,)).wait()
        assert seen == [2]
        ahead_of_time.Ahead(None, (thread,)).wait()
        assert seen == [2]
    finally:
        gc.callbacks.remove(count)


def test_what_the_end_needs_is_imported_early_where_nothing_is_compiled_ahead(monkeypatch):
    begun = []
    monkeypatch.setattr(ahead_of_time, "import_early", lambda: begun.append(1))
    run(0.506, mesh=gm.mesh())
    assert begun == [1]
