import gc
import threading

import pytest

from gmdsl.core.uncollected import uncollected


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
