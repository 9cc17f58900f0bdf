import gc

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
