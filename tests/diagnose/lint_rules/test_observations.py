import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.diagnose.lint_rules.observations import observations

PAIR = gm.joint(mu=dist.Normal(0.0, 1.0), y=lambda mu: dist.Normal(mu, 1.0))


def test_a_joint_without_observations_is_named():
    found = observations(PAIR)
    assert (found.status, found.evidence) == ("note", "nothing is observed: draws are draws of the prior")
    tree = gm.sample(PAIR, gm.NUTS(), draws=100, warmup=100, progress=False)
    assert gm.check(tree, PAIR)["observations"].status == "note"


def test_observations_and_energies_are_no_fault():
    assert observations(PAIR.condition(y=0.3)).evidence == "observed: y"
    assert observations(gm.energy(lambda x: x**2, x=gm.Real())).status == "ok"
