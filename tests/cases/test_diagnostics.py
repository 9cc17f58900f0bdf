"""ArviZ's diagnostics of stored chains, pinned: what our reports say rests on these numbers."""

import arviz as az
import numpy as np
import pytest

from tests.cases.scoring import load

CASE = load("diagnostics", "diag_golden")
MEASURES = {
    "rhat": lambda x: az.rhat(x),
    "ess_bulk": lambda x: az.ess(x, method="bulk"),
    "ess_tail": lambda x: az.ess(x, method="tail", prob=(0.05, 0.95)),
    "ess_mean": lambda x: az.ess(x, method="mean"),
    "mcse_mean": lambda x: az.mcse(x, method="mean"),
    "mcse_sd": lambda x: az.mcse(x, method="sd"),
}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("chains", CASE.meta["table"])
def test_arviz_still_gives_the_stored_value(chains, measure):
    expected = float(CASE.meta["table"][chains][measure])  # "nan" in the file is NaN
    with np.errstate(invalid="ignore", divide="ignore"):
        found = float(MEASURES[measure](CASE.arrays[chains]))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True)


def test_a_constant_chain_has_no_rhat_but_a_full_ess_so_ess_alone_proves_nothing():
    """Why zero-variance chains need a check of their own."""
    table = CASE.meta["table"]["const"]
    assert np.ptp(CASE.arrays["const"]) == 0.0
    assert table["rhat"] == "nan"
    assert table["ess_bulk"] == CASE.arrays["const"].size


@pytest.mark.parametrize(("chains", "phi"), [("ar5", 0.5), ("ar95", 0.95)])
def test_ess_of_an_autoregression_is_near_its_theory(chains, phi):
    """N (1 - phi) / (1 + phi); an estimate from 2,000 draws is good to a factor of two."""
    draws = CASE.arrays[chains]
    theory = draws.size * (1.0 - phi) / (1.0 + phi)
    assert theory / 2.0 < float(az.ess(draws, method="mean")) < theory * 2.0
