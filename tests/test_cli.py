import signal

import pytest

from gmdsl.cli import main
from gmdsl.run.progress import Progress


def test_the_demo_prints_findings_and_writes_runs_and_pictures(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "out"), "--draws", "100", "--warmup", "200", "--quiet"]) == 0
    printed = capsys.readouterr().out
    for part in ("eight schools", "breast cancer", "theta = f(mu, tau, z)", "status:"):
        assert part in printed
    names = {p.name for p in (tmp_path / "out").iterdir()}
    for model in ("eight_schools", "breast_cancer"):
        assert {f"{model}.zarr", f"{model}_graph.svg", f"{model}_trace.png", f"{model}_rank.png"} <= names


def test_no_command_prints_the_usage(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "demo" in capsys.readouterr().err


def test_launch_runs_a_script_with_its_words_and_gives_its_exit_code(tmp_path, capfd):
    script = tmp_path / "script.py"
    script.write_text("import sys; print(sys.argv[1:])")
    assert main(["launch", "--processes", "1", str(script), "run.zarr", "--draws", "5"]) == 0
    printed = capfd.readouterr()
    assert printed.out == "['run.zarr', '--draws', '5']\n"
    assert "1 process finished" in printed.err
    assert main(["launch", str(tmp_path / "nothing.py")]) == 2
    assert "there is no such file" in capfd.readouterr().err


def test_ctrl_c_in_the_demo_ends_it_with_an_exit_code_and_prints_no_draws(tmp_path, capsys, monkeypatch):
    advance = Progress.advance

    def pressed(bar, records, stats):
        advance(bar, records, stats)
        if records:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Progress, "advance", pressed)
    assert main(["demo", "--out", str(tmp_path / "out"), "--draws", "3000", "--warmup", "200", "--quiet"]) == 130
    printed = capsys.readouterr()
    assert "interrupted" in printed.err
    assert "draws in" not in printed.out
    assert "status:" not in printed.out
    assert list((tmp_path / "out").iterdir()) == []
