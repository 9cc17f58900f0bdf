import signal
import threading

import pytest

from gmdsl.core.runtime.interrupts import hold, keeping


def press():
    signal.raise_signal(signal.SIGINT)


def test_before_hold_and_after_the_block_ctrl_c_is_as_always():
    with pytest.raises(KeyboardInterrupt), keeping():
        press()
    with keeping() as held:
        hold()
    assert not held.noted
    with pytest.raises(KeyboardInterrupt):
        press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_first_is_noted_and_the_second_ends_it():
    with keeping() as held:
        hold()
        hold()
        press()
        assert held.noted
        with pytest.raises(KeyboardInterrupt):
            press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_of_keeping_and_in_other_threads_nothing_is_held():
    hold()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    seen = []

    def work():
        with keeping() as held:
            hold()
            seen.append((held.before, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, signal.default_int_handler)]


def test_a_handler_of_ones_own_stays():
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(1))
    try:
        with keeping() as held:
            hold()
            press()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (came, held.noted) == ([1], False)
