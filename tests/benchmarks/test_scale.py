"""Contenders of the table of scale: the same densities, and small cases of each."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "benchmarks"))
import run
import scale
from contenders import scale_gmdsl, scale_hand

TINY = {"rows": 300, "draws": 60, "unknowns": 20, "points": 12, "names": 3, "labels": 4, "models": 2}


def test_the_table_is_one_of_all_and_has_no_case_twice():
    assert "scale" in run.TABLES
    names = [case["name"] for case in scale.CASES]
    assert len(set(names)) == len(names)
    assert {case["what"] for case in scale.CASES} == set(scale_gmdsl.OURS)


@pytest.mark.parametrize("noise", ["Poisson", "normal"])
def test_the_density_by_hand_is_that_of_gmdsl(noise, x64):
    case = {"what": "process", "points": 12, "noise": noise}
    ours, by_hand = scale_gmdsl.CONTENDERS["run"](case)(0), scale_hand.CONTENDERS["process"](case)(0)
    assert ours["work"] == by_hand["work"]
    assert ours["value"] == pytest.approx(by_hand["value"], rel=1e-6)
    assert ours["slope"] == pytest.approx(by_hand["slope"], rel=1e-6)


@pytest.mark.parametrize("case", scale.cases(TINY), ids=lambda case: case["name"])
def test_every_case_runs_and_reports_its_work(case):
    found = scale_gmdsl.CONTENDERS["run"](case)(1) or {}
    work = {"unknowns": 40 * 63, "process": 50, "models": 2}.get(case["what"], 1)
    assert found.get("work", 1) == work
    if case["what"] == "models":
        assert found["maps"] > 10
        assert found["memory"] > 10
    if scale.has_peer(case):
        assert scale_gmdsl.CONTENDERS["peer"](case)(1) is None or case["what"] != "rows"
