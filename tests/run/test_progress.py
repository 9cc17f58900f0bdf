import numpy as np

from gmdsl.run.progress import Progress


def test_only_divergences_after_the_warm_up_are_counted():
    bar = Progress("NUTS", warmup=10, draws=20, chains=2, show=False)
    with bar:
        bar.advance(15, {"diverging": np.ones((2, 15), bool)})
        bar.advance(15, {"diverging": np.zeros((2, 15), bool)})
    assert bar.diverging == 10
    assert bar.done == bar.total == 30


def test_the_bar_says_what_runs_and_in_which_phase(capsys):
    with Progress("MALA", warmup=2, draws=2, chains=1, show=True) as bar:
        assert bar._describe() == "MALA, 1 chain: compiling"
        bar.advance(1, {})
        assert bar._describe() == "MALA, 1 chain: warm-up"
        bar.advance(3, {"diverging": np.ones((1, 3), bool)})
    assert "MALA, 1 chain: draws, 2 divergent" in capsys.readouterr().err
