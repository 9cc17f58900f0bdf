import io
import sys

import numpy as np
import numpyro.distributions as dist
import optax

import gmdsl as gm
from gmdsl.run.training_progress import EVERY, TrainingProgress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_log_gets_a_line_every_so_often_with_loss_and_speed(capsys):
    clock = Clock()
    with TrainingProgress("ELBO", 600, show=True, clock=clock) as bar:
        for seconds, loss in ((20.0, 4.0), (1.0, 3.0), (1.0, 2.5), (EVERY, 2.0), (1.0, 1.5), (1.0, 1.25)):
            clock.now += seconds
            bar.advance(100, {"loss": np.array([loss - 0.5, loss + 0.5])})
    assert capsys.readouterr().err.splitlines() == [
        "ELBO: step 100 of 600, loss 4",  # the first block waits for the compiler
        "ELBO: step 400 of 600, loss 2, 25 steps/s",  # 300 steps in 12 seconds
        "ELBO: step 600 of 600, loss 1.25, 35.7 steps/s",
    ]


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    clock = Clock()
    with TrainingProgress("ELBO", 200, show=True, clock=clock) as bar:
        assert bar._describe() == "ELBO: compiling"
        bar.advance(100, {"loss": np.array([4.0])})
        clock.now = 2.0
        bar.advance(100, {"loss": np.array([3.0])})
        assert bar._describe() == "ELBO, loss 3, 50 steps/s"
    assert "step 100 of" not in sys.stderr.getvalue()


def test_nothing_is_shown_that_is_not_wanted_and_a_fit_tells_its_loss(capsys):
    with TrainingProgress("ELBO", 100, show=False) as bar:
        bar.advance(100, {"loss": np.array([4.0])})
    assert capsys.readouterr().err == ""
    model = gm.joint(mu=gm.param(0.0), x=lambda mu: dist.Normal(mu, 1.0))
    fit = gm.fit(model, {"x": np.array([1.0, 3.0])}, gm.MaximumLikelihood(), optimizer=optax.adam(0.1), steps=150)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(f"MaximumLikelihood: step 150 of 150, loss {fit.history['loss'][100:].mean():.5g}, ")
