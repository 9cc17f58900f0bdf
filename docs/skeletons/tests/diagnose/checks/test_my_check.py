import gmdsl as gm
from gmdsl.diagnose.checks.my_check import my_check
from gmdsl.diagnose.examined import Examined


def test_a_run_that_rejects_everything_fails_and_another_does_not():
    bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    runs = {step: gm.sample(bowl, gm.RandomWalk(step), warmup=0, draws=200, progress=False) for step in (1.0, 1e4)}
    assert [my_check(Examined(runs[step])).status for step in (1.0, 1e4)] == ["ok", "failed"]
    langevin = gm.sample(bowl, gm.Langevin(0.1), warmup=0, draws=20, progress=False)
    assert my_check(Examined(langevin)) is None


def test_the_report_has_its_finding():
    bowl = gm.energy(lambda x: 0.5 * x @ x, x=gm.Real(2))
    tree = gm.sample(bowl, gm.RandomWalk(1e4), warmup=0, draws=200, progress=False)
    report = gm.check(tree, checks=[my_check])
    assert (report["my check"].status, report.status) == ("failed", "failed")
