import numpy as np
import pytest

import gmdsl as gm
from gmdsl.run.chains import loop


@pytest.fixture
def bowl():
    return gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))


def interrupt_after(blocks, monkeypatch):
    """Ctrl-C in the given block."""
    count, original = [0], loop.run_block

    def stop(*args):
        count[0] += 1
        if count[0] > blocks:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(loop, "run_block", stop)


def test_ctrl_c_keeps_the_draws_that_were_made(bowl, monkeypatch):
    monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 10)
    whole = gm.sample(bowl, gm.MALA(), draws=50, warmup=20, progress=False)
    interrupt_after(4, monkeypatch)
    tree = gm.sample(bowl, gm.MALA(), draws=50, warmup=20, progress=False)
    np.testing.assert_array_equal(tree["posterior"]["x"].values, whole["posterior"]["x"].values[:, :20])
    assert tree.attrs["interrupted"] == 1
    report = gm.check(tree)
    assert report["draws"].evidence == "interrupted: 20 of 50 draws per chain"
    assert report.status != "ok"


def test_ctrl_c_in_the_warm_up_keeps_the_warm_up(bowl, monkeypatch):
    monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 10)
    interrupt_after(1, monkeypatch)
    tree = gm.sample(bowl, gm.MALA(), draws=50, warmup=20, progress=False)
    assert tree["warmup_posterior"]["x"].shape == (4, 10, 2)
    report = gm.check(tree)
    assert report.status == "failed"
    assert "interrupted during warm-up" in report["draws"].evidence


def test_ctrl_c_before_anything_was_drawn_stays_an_interrupt(bowl, monkeypatch):
    interrupt_after(0, monkeypatch)
    with pytest.raises(KeyboardInterrupt, match="before the first block"):
        gm.sample(bowl, gm.MALA(), draws=50, warmup=20, progress=False)
