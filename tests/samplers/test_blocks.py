import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.samplers.blocks import BlockTarget
from tests.run.storage.test_store import equal
from tests.run.test_resume import stopped

RHO, SCALE = 0.8, 50.0


def pair():
    """A correlated Gaussian of two variables, one fifty times as wide."""
    matrix = np.linalg.inv(np.array([[1.0, RHO * SCALE], [RHO * SCALE, SCALE**2]]))
    return gm.energy(
        lambda a, b, m: 0.5 * jnp.stack([a - 1.0, b]) @ m @ jnp.stack([a - 1.0, b]),
        a=gm.Real(),
        b=gm.Real(),
        m=gm.data(matrix),
    )


def z_of(draws, truth):
    return (draws.mean() - truth) / float(arviz_stats.mcse(draws, method="mean"))


@pytest.mark.parametrize("kernels", [(gm.NUTS(), gm.MALA()), (gm.HMC(), gm.RandomWalk())], ids=["gradients", "mixed"])
def test_blocks_in_turn_sample_the_joint_law(kernels):
    """Means and second moments; five z-scores, false alarm 3e-4. A stale gradient or density would show."""
    sampler = gm.blocks({"b": kernels[0], "a": kernels[1]})
    tree = gm.sample(pair(), sampler, chains=4, draws=4000, warmup=800, seed=2, progress=False)
    a, b = tree["posterior"]["a"].values, tree["posterior"]["b"].values
    moments = [(a, 1.0), (b, 0.0), ((a - 1.0) ** 2, 1.0), (b**2, SCALE**2), ((a - 1.0) * b, RHO * SCALE)]
    for draws, truth in moments:
        assert abs(z_of(draws, truth)) < 4.0


def test_each_block_adapts_on_its_own():
    """Given the other the widths are 0.6 and 30: one step for both would be refused by one or crawl in the other."""
    sampler = gm.blocks({"a": gm.HMC(target_accept=0.9), "b": gm.RandomWalk()})
    stats = gm.sample(pair(), sampler, draws=1000, warmup=1000, progress=False)["sample_stats"]
    accepted = {name: float(stats[f"acceptance_rate_{name}"].values.mean()) for name in "ab"}
    assert 0.8 < accepted["a"] < 1.0
    assert 0.15 < accepted["b"] < 0.35
    for name in "ab":
        assert np.ptp(stats[f"step_size_{name}"].values, axis=1).max() == 0.0  # frozen after warm-up


def test_discrete_and_continuous_variables_are_mixed(x64):
    """A mixture of three; the label's law and the mean of x; four z-scores, false alarm 3e-4."""
    p, mu, sd = np.array([0.2, 0.3, 0.5]), np.array([-2.0, 0.0, 2.0]), np.array([0.7, 1.0, 1.5])
    model = gm.joint(m=gm.data(mu), s=gm.data(sd), k=dist.Categorical(p), x=lambda k, m, s: dist.Normal(m[k], s[k]))
    sampler = gm.blocks({"x": gm.HMC(), "k": gm.Gibbs()})
    tree = gm.sample(model, sampler, chains=4, draws=4000, warmup=500, seed=3, progress=False)
    k, x = tree["posterior"]["k"].values, tree["posterior"]["x"].values
    for label in range(3):
        assert abs(z_of((k == label).astype(float), p[label])) < 4.0
    assert abs(z_of(x, p @ mu)) < 4.0
    assert gm.check(tree, model)["Stein identity"].status == "note"


def test_groups_of_variables_and_positive_ones_in_a_posterior():
    model = gm.joint(
        mu=dist.Normal(0.0, 5.0), tau=dist.HalfNormal(2.0), y=lambda mu, tau: dist.Normal(mu, tau).expand([6])
    ).condition(y=[1.0, 2.0, 0.5, 3.0, 1.5, 2.5])
    exact = gm.expectation(model, lambda v: jnp.stack([v["mu"], v["tau"]])).value
    for sampler in (gm.blocks({("tau", "mu"): gm.NUTS()}), gm.blocks({"tau": gm.HMC(), "mu": gm.NUTS()})):
        tree = gm.sample(model, sampler, chains=4, draws=1500, warmup=500, progress=False)["posterior"]
        assert abs(z_of(tree["mu"].values, exact[0])) < 4.0
        assert abs(z_of(tree["tau"].values, exact[1])) < 4.0


def test_a_block_sees_the_density_with_the_rest_held(x64):
    target = FlatTarget.of(pair())
    block = BlockTarget(target, jnp.array([0.3, 7.0]), (1,))
    whole = lambda b: target.log_density(jnp.array([0.3, b]))  # noqa: E731
    value, score = block.log_density_and_score(jnp.array([4.0]))
    np.testing.assert_allclose(value, whole(4.0), rtol=1e-12)
    np.testing.assert_allclose(score[0], jax.grad(whole)(4.0), rtol=1e-12)
    assert block.dim == 1
    assert block.states == (None,)


def test_a_stopped_run_of_blocks_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(2.0 * k, 1.0))
    sampler = gm.blocks({"x": gm.NUTS(), "k": gm.Gibbs()})

    def sample(path):
        return gm.sample(model, sampler, chains=2, draws=80, warmup=90, store=path, progress=False)

    whole = sample(None)
    stopped(monkeypatch, tmp_path / "run.zarr", 2, sample)
    equal(gm.resume(tmp_path / "run.zarr", model, sampler, progress=False), whole)


def test_wrong_blocks_say_what_to_do():
    model = gm.joint(k=dist.Bernoulli(0.3), x=lambda k: dist.Normal(2.0 * k, 1.0))
    for samplers, message in (
        ({"x": gm.NUTS()}, "k is in no block"),
        ({"x": gm.NUTS(), "k": gm.MALA()}, r"k was declared .*discrete, and MALA moves real numbers only.*gm\.Gibbs"),
        ({"x": gm.NUTS(), "z": gm.Gibbs()}, "no free variable 'z'; they are k, x"),
    ):
        with pytest.raises(gm.SpecError, match=message):
            gm.sample(model, gm.blocks(samplers), progress=False)
    for samplers, message in (
        ({}, "at least one block"),
        ({"x": gm.NUTS(), ("x", "k"): gm.Gibbs()}, "x is in two blocks"),
        ({"x": gm.NUTS}, "a sampler is needed"),
    ):
        with pytest.raises(gm.SpecError, match=message):
            gm.blocks(samplers)


def test_blocks_are_shown_as_they_are_written():
    assert repr(gm.blocks({"a": gm.Slice(), ("b", "c"): gm.Gibbs()})) == (
        f"blocks({{'a': {gm.Slice()!r}, ('b', 'c'): {gm.Gibbs()!r}}})"
    )
