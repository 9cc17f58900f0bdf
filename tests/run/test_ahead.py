import gc
import threading

import jax.numpy as jnp
import pytest

import gmdsl as gm
from gmdsl.run import ahead


def bowl(scale):
    return gm.energy(lambda x: scale * x @ x + jnp.cos(x[0]), x=gm.Real(3))


def run(scale, **changes):
    return gm.sample(bowl(scale), gm.HMC(), **{"draws": 5, "warmup": 5, "progress": False, **changes})


def test_the_block_is_compiled_by_another_thread_and_the_call_finds_it(compilations, monkeypatch):
    seen = []

    def spied(lowered):
        before = len(compilations)
        lowered.compile()
        seen.append((threading.current_thread().name, len(compilations) - before))

    monkeypatch.setattr(ahead, "_compiled", spied)
    before = len(compilations)
    run(0.501)
    assert [name for name, _ in seen] == ["gmdsl compiles"]
    assert len(compilations) - before == 2  # the starts and the block, each once


def test_a_block_that_was_compiled_is_not_compiled_ahead_again(monkeypatch):
    run(0.502)
    begun = []
    monkeypatch.setattr(ahead, "_compiled", begun.append)
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

    compiled, failed = ahead._compiled, []

    def fails(lowered):
        compiled(Lowered())
        failed.append(lowered)

    monkeypatch.setattr(ahead, "_compiled", fails)
    tree = run(0.505)
    assert len(failed) == 1
    assert tree["posterior"].sizes["draw"] == 5


def test_garbage_is_searched_for_while_xla_works():
    """Tracing holds the search off; a wait for a thread that works makes up for it, one for none does not."""
    seen, done = [], threading.Event()
    count = lambda phase, info: seen.append(info["generation"]) if phase == "start" else done.set()  # noqa: E731
    thread = threading.Thread(target=done.wait)
    gc.callbacks.append(count)
    try:
        thread.start()
        ahead._wait([thread], None)
        assert seen == [2]
        ahead._wait([thread], None)
        assert seen == [2]
    finally:
        gc.callbacks.remove(count)
