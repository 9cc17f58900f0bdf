import gmdsl as gm
from tests.samplers.laws import assert_exact, target


def test_my_sampler_reproduces_the_law():
    tree = gm.sample(target(), gm.MySampler(), draws=20_000, progress=False)
    assert_exact(tree, least_ess=1000)
