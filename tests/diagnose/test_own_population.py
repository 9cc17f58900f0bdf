import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diagnose import own_population as carried
from gmdsl.inference.weights import normalized_weights

Y = np.array([0.3, 1.2, 0.8, 1.9, 0.4])


def mean_and_scale():
    """Normal data of unknown mean; the law of the mean is N(0.9, 0.19)."""
    return gm.joint(m=dist.Normal(0.0, 2.0), y=lambda m: dist.Normal(m, 1.0).expand([5])).condition(y=Y)


def two_signs(shift=6.0):
    """The sum of two variables was measured up to its sign, which is + with a chance of 0.7."""
    law = dist.Categorical(jnp.array([0.7, 0.3]))
    return gm.joint(
        x=dist.Normal(0.0, 5.0).expand([2]),
        y=lambda x: dist.MixtureSameFamily(law, dist.Normal(jnp.stack([x.sum(), -x.sum()]), 0.5)),
    ).condition(y=shift)


def carry(model, seed=0, **settings):
    return carried.own_population(carried.path_of(model), gm.compile(model), seed, **settings)


def test_the_population_has_the_moments_of_the_posterior_over_seeds():
    """Ten seeds: 1 / (5 + 1/4) is the variance of m; independent islands of 50 give the error."""
    mean, variance = [], []
    for seed in range(10):
        own = carry(mean_and_scale(), seed)
        assert own.doubt == ""
        weight = normalized_weights(own.log_weight)
        mean.append(weight @ own.x[:, 0])
        variance.append(weight @ (own.x[:, 0] - mean[-1]) ** 2)
    assert abs(np.mean(mean) - Y.sum() / 5.25) < 4.5 * np.std(mean, ddof=1) / np.sqrt(10)
    assert abs(np.mean(variance) - 1 / 5.25) < 4.5 * np.std(variance, ddof=1) / np.sqrt(10)


def test_the_shares_of_two_modes_are_kept_and_stay_when_it_moves_on():
    share = []
    for seed in range(8):
        own = carry(two_signs(), seed, longer=True)
        share.append(normalized_weights(own.log_weight) @ (own.x.sum(axis=1) < 0))
    assert abs(np.mean(share) - 0.3) < 4.5 * max(np.std(share, ddof=1), 0.01) / np.sqrt(8)


def test_what_speaks_against_it_is_told(monkeypatch):
    model = mean_and_scale()
    monkeypatch.setattr(carried, "SECONDS", 0.0)
    assert "takes" in carry(model).doubt
    monkeypatch.undo()
    monkeypatch.setattr(carried, "MOST", 2)
    assert "had not arrived" in carry(two_signs()).doubt
    assert carried.path_of(gm.energy(lambda x: x**2, x=gm.Real())) is None


def test_chains_in_one_of_two_modes_are_flagged_by_nothing_else():
    """All chains begin at the sum 6; the other sign has 0.3 of the mass."""
    model = two_signs()
    tree = gm.sample(model, gm.NUTS(), init={"x": np.full(2, 3.0)}, progress=False)
    assert (tree["posterior"]["x"].values.sum(axis=-1) > 0).all()
    report = gm.check(tree, model)
    assert {f.name for f in report.findings if f.status in ("suspect", "failed")} == {"mode audit"}
    share, error = (float(part.split(" %")[0]) / 100.0 for part in report["mode audit"].evidence.split(" +- ")[:2])
    assert abs(share - 0.3) < 4.5 * error


@pytest.mark.parametrize("seed", [0, 1])
def test_good_chains_pass(seed):
    tree = gm.sample(mean_and_scale(), gm.NUTS(), draws=500, warmup=500, seed=seed, progress=False)
    assert gm.check(tree, mean_and_scale())["mode audit"].status == "ok"


def test_a_population_in_doubt_is_a_note(monkeypatch):
    tree = gm.sample(mean_and_scale(), gm.NUTS(), draws=300, warmup=300, progress=False)
    monkeypatch.setattr(carried, "MOST", 1)
    found = gm.check(tree, mean_and_scale())["mode audit"]
    assert found.status == "note"
    assert "in doubt" in found.evidence
