import gc
import threading

import pytest

from gmdsl.core.runtime.garbage import uncollected


def held_off_twice():
    """Looks at the search inside and between two contexts, and then fails."""
    with uncollected():
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
        raise ZeroDivisionError


def test_the_search_is_held_off_and_comes_back():
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        held_off_twice()
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_off():
    gc.disable()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_search_stays_off_while_a_thread_that_began_inside_goes_on():
    begun, go, seen = threading.Event(), threading.Event(), []

    def imports():
        with uncollected():
            begun.set()
            assert go.wait(20)
            seen.append(gc.isenabled())

    thread = threading.Thread(target=imports)
    with uncollected():
        thread.start()
        assert begun.wait(20)
    assert not gc.isenabled()
    go.set()
    thread.join()
    assert seen == [False]
    assert gc.isenabled()


def held(modules):
    """An object made while the search is held off, and the generation it is in afterwards."""
    with uncollected(modules=modules):
        made = []
    gc.disable()
    return [any(made is o for o in gc.get_objects(generation)) for generation in (0, 1, 2)].index(True)


@pytest.fixture
def idle():
    """No search by itself, which would make objects older."""
    limits = gc.get_threshold()
    gc.set_threshold(100_000_000)
    yield
    gc.set_threshold(*limits)
    gc.enable()


@pytest.mark.usefixtures("idle")
def test_what_modules_made_is_old_without_a_search():
    searches = [s["collections"] for s in gc.get_stats()]
    assert held(modules=False) == 0
    gc.enable()
    assert held(modules=True) == 2
    assert [s["collections"] for s in gc.get_stats()] == searches


@pytest.mark.usefixtures("idle")
def test_what_somebody_has_frozen_stays_so():
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        assert held(modules=True) == 0
        assert gc.get_freeze_count() > 0.9 * frozen
    finally:
        gc.unfreeze()
