import dataclasses

import numpy as np

from gmdsl.results.agreement import Agreement, repeated
from gmdsl.results.estimate import LogZ
from gmdsl.results.reliability import Verdict


def one(value, error=0.1, status="ok"):
    return LogZ(value, error, 100.0, judged=Verdict(status, f"evidence of {value}"), particles=50)


def test_methods_that_agree_give_one_number():
    both = Agreement((one(1.0, 0.1), one(1.2, 0.2)))
    np.testing.assert_allclose(both.log_z, (1.0 / 0.01 + 1.2 / 0.04) / (1.0 / 0.01 + 1.0 / 0.04))
    assert (both.status, both.standard_error) == ("ok", 0.1)
    assert "log Z = 1.040 +- 0.100" in str(both)


def test_methods_that_disagree_give_none_and_say_so():
    apart = Agreement((one(1.0), one(2.0)))
    assert apart.status == "suspect"
    assert np.isnan(apart.log_z)
    assert apart.standard_error == np.inf
    assert "no number: methods disagree" in str(apart)


def test_estimates_in_doubt_do_not_count():
    mixed = Agreement((one(1.0), one(9.0, status="suspect")))
    assert mixed.log_z == 1.0
    assert mixed.status == "suspect"
    doubtful = Agreement((one(9.0, status="suspect"),))
    assert "no number: " in str(doubtful)
    assert "evidence of 9.0" in str(doubtful).splitlines()[-1]
    assert Agreement((one(np.nan, np.inf, "failed"),)).status == "failed"


def test_repeats_are_the_mean_of_z_with_the_spread_in_the_error():
    values = [0.0, 0.5, -0.4, 0.2]
    found = repeated([one(v, 0.01) for v in values])
    np.testing.assert_allclose(found.log_z, np.log(np.mean(np.exp(values))))
    weight = np.exp(values)
    assert found.standard_error > weight.std(ddof=1) / np.sqrt(4) / weight.mean()
    assert found.particles == 200
    assert repeated([one(1.0), one(1.0, status="suspect")]).status == "suspect"
    assert repeated([one(3.0)]).log_z == 3.0


def test_methods_are_told_apart_by_settings_that_come_late():
    rows = [
        dataclasses.replace(one(1.0), method=f"SMC(move=MALA(step_size=0.3), particles=200, steps={n})") for n in (5, 6)
    ]
    table = str(Agreement(tuple(rows)))
    assert "steps=5)" in table
    assert "steps=6)" in table
    longest = dataclasses.replace(one(1.0), method="x" * 200)
    assert max(map(len, str(Agreement((longest,))).splitlines())) < 130
