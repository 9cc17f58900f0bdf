"""The harness of the benchmarks: ratios with intervals, missing peers, and the talk with a contender's process."""

import json
import os
import pathlib

import numpy as np
import pytest

BENCHMARKS = pathlib.Path(__file__).parent.parent.parent / "benchmarks"
TRIVIAL = """
import time

def waits(case):
    def run(seed):
        print("noise on standard output")
        time.sleep(case["seconds"])
        return {"work": case["work"], "seed": seed, "draws": [[[1.0, 2.0]]]}
    return run

def breaks(case):
    raise RuntimeError("no such thing")

CONTENDERS = {"waits": waits, "slower": lambda case: waits({**case, "seconds": 3 * case["seconds"]}), "breaks": breaks}
"""


@pytest.fixture
def harness(monkeypatch, tmp_path):
    (tmp_path / "trivial.py").write_text(TRIVIAL)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness

    return harness


def contender(harness, name, key="waits", environment="gmdsl", goal=None):
    return harness.Contender(name, environment, "trivial", key, goal)


@pytest.mark.parametrize(("n", "ranks"), [(6, (1, 6)), (9, (2, 8)), (15, (4, 12)), (25, (8, 18))])
def test_the_interval_of_a_median_reaches_between_the_tabled_ranks(harness, n, ranks):
    found = harness.interval(list(range(n, 0, -1)))
    assert (found["low"], found["high"]) == ranks
    assert 0.95 <= found["level"] <= 0.99


def test_the_interval_holds_the_true_ratio_as_often_as_it_says(harness):
    rng, true, held, runs = np.random.default_rng(0), 1.3, 0, 2000
    for _ in range(runs):
        base = rng.lognormal(0.0, 0.3, 15)
        pairs = list(zip(base, base * true * np.exp(rng.standard_t(2, 15) * 0.1), strict=True))
        found = harness.ratio(pairs)
        held += found["low"] <= true <= found["high"]
    level = found["level"]
    assert abs(held / runs - level) < 4 * (level * (1 - level) / runs) ** 0.5


def test_a_contender_of_known_slowness_gets_its_ratio_per_work_and_its_goal(harness):
    rows = (contender(harness, "base"), contender(harness, "thrice", "slower", goal=lambda case: 2.0))
    case = {"name": "waiting", "seconds": 0.1, "work": 4.0}  # long beside what a busy machine adds to a sleep
    with harness.Bench(rows) as bench:
        base, found = bench.compare(case, harness.Length(pairs=6))
    assert found["wall ratio"]["median"] == pytest.approx(3.0, rel=0.2)
    assert found["wall ratio"]["low"] <= found["wall ratio"]["median"] <= found["wall ratio"]["high"]
    assert base["wall"] == pytest.approx(0.1 / 4.0, rel=0.3)
    assert found["cpu"] < 0.2 * found["wall"]  # it slept
    assert len(found["pairs"]) == 6
    assert found["goal"] == 2.0


def test_a_peer_that_is_not_installed_is_skipped_and_named(harness, capsys):
    rows = (contender(harness, "base"), contender(harness, "far away", environment="nowhere"))
    with harness.Bench(rows) as bench:
        found = bench.compare({"name": "waiting", "seconds": 0.001, "work": 1.0}, harness.QUICK)
        assert bench.skipped == [("far away", "nowhere")]
    assert [row["name"] for row in found] == ["base"]
    assert ".venv-nowhere is not there, skipped" in capsys.readouterr().out


def test_requests_are_repeated_and_draws_saved_and_prints_do_no_harm(harness, tmp_path):
    process = harness.Process(contender(harness, "one"), one_thread=True)
    first = process.prepare({"seconds": 0.001, "work": 2.0})
    answer = process.run(5, repeat=3, save=str(tmp_path / "draws.npy"))
    process.close()
    assert first["wall"] >= 0.001
    assert answer["work"] == 2.0
    assert answer["seed"] == 7  # the last of 5, 6, 7
    np.testing.assert_array_equal(np.load(tmp_path / "draws.npy"), [[[1.0, 2.0]]])


def test_a_contender_that_fails_is_named_with_its_error_and_the_others_go_on(harness, capsys):
    rows = (contender(harness, "base"), contender(harness, "broken", "breaks"), contender(harness, "other"))
    with harness.Bench(rows) as bench:
        found = bench.compare({"name": "waiting", "seconds": 0.001, "work": 1.0}, harness.QUICK)
    assert found[1]["failed"] == "RuntimeError: no such thing"
    assert "wall ratio" in found[2]


def test_the_table_says_which_goals_are_met_and_which_are_missed(harness, tmp_path):
    import report

    def row(name, goal, median):
        ratio = {"median": median, "low": 0.9 * median, "high": 1.1 * median, "level": 0.96}
        base = {"case": "c", "name": name, "goal": goal, "wall": 2e-9, "cpu": 1e-9, "medians": {}}
        pairs = [[{"cpu": 1.0, "inside": 0.5}, {"cpu": median}]]
        return {**base, "cpu ratio": ratio, "wall ratio": ratio, "pairs": pairs}

    rows = [
        row("good", 1.0, 17.234),
        row("bad", 5.0, 4.5),
        row("near", 6.0, 5.9),
        {**row("odd", 1.0, 2.0), "void": "does not mix"},
    ]
    table = report.Table("t", "title", "ns per step", 1e9, "cpu", rows, [("gone", "nowhere")])
    text = report.write(table, tmp_path)
    assert "| c | good | 1.00 | 17.2 (15.5 to 19.0) | 17.2 (15.5 to 19.0) | ≥ 1.00 met |" in text
    assert "≥ 5.00 **missed**" in text
    assert "≥ 6.00 met" in text  # its interval contains the goal
    assert "| does not mix |" in text
    assert "gone (`.venv-nowhere`)" in text
    kept = json.loads((tmp_path / "t.json").read_text())
    assert kept["rows"][0]["pairs"] == {"cpu": [[1.0, 17.234]]}
    assert {path.suffix for path in tmp_path.glob("t.*")} == {".txt", ".png", ".json"}
