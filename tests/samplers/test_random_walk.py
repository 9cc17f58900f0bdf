import gmdsl as gm
from tests.samplers.laws import assert_exact, target


def test_random_walk_reproduces_the_law():
    tree = gm.sample(target(), gm.RandomWalk(step_size=1.0), draws=30_000, progress=False)
    assert_exact(tree, least_ess=2000)


def test_the_acceptance_rate_settles_near_the_target():
    tree = gm.sample(target(), gm.RandomWalk(), draws=3000, progress=False)
    assert abs(float(tree["sample_stats"]["acceptance_rate"].mean()) - 0.234) < 0.06


def test_it_needs_no_gradient():
    import jax.numpy as jnp

    steps = gm.energy(lambda x: jnp.floor(jnp.abs(x)), x=gm.Real())
    tree = gm.sample(steps, gm.RandomWalk(), draws=20_000, progress=False)
    inside = (abs(tree["posterior"]["x"].values) < 1).mean()
    assert abs(inside - (1 - jnp.exp(-1.0))) < 0.03  # P(|x| < 1) = 1 - 1/e for this staircase
