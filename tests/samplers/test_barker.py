import gmdsl as gm
from tests.samplers.laws import assert_exact, target


def test_barkers_proposal_reproduces_the_law():
    tree = gm.sample(target(), gm.BarkerMH(), draws=20_000, progress=False)
    assert_exact(tree, least_ess=2000)


def test_a_dense_metric_reproduces_the_law():
    tree = gm.sample(target(), gm.BarkerMH(metric=gm.adapt.DenseMetric()), draws=20_000, progress=False)
    assert_exact(tree, least_ess=2000)


def test_the_acceptance_rate_settles_near_the_target():
    tree = gm.sample(target(), gm.BarkerMH(), draws=3000, progress=False)
    assert abs(float(tree["sample_stats"]["acceptance_rate"].mean()) - 0.4) < 0.08


def test_a_step_far_too_long_still_moves_where_mala_stands_still():
    """The paper's robustness: with a step thirty times the scale in one of two directions."""
    narrow = gm.energy(lambda x: 0.5 * (x[0] / 0.02) ** 2 + 0.5 * x[1] ** 2, x=gm.Real(2))
    settings = {"warmup": 0, "draws": 2000, "progress": False, "init": {"x": [0.02, 0.5]}}
    accepted = {}
    for sampler in (
        gm.BarkerMH(step_size=0.6, inverse_mass=[1.0, 1.0]),
        gm.MALA(step_size=0.36, inverse_mass=[1.0, 1.0]),
    ):
        stats = gm.sample(narrow, sampler, **settings)["sample_stats"]
        accepted[type(sampler).__name__] = float(stats["acceptance_rate"].mean())
    assert accepted["BarkerMH"] > 0.02 > 10 * accepted["MALA"]
