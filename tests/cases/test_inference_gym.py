"""Two posteriors of the Inference Gym with exact moments: a path with gaps in its observations, and eight schools."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from tests.cases.scoring import load, quantities, score_moments


def brownian():
    """A path of 30 steps, seen with noise at 20 of them."""
    return gm.joint(
        x=gm.scan(lambda before: dist.Normal(before, 0.1), first=dist.Normal(0.0, 0.1), length=30),
        y=lambda x: dist.Normal(x, 0.15),
        dims={"x": ["step"], "y": ["step"]},
    )


def schools(data):
    """The prior of the spread is log-normal; effects are standard normals moved and scaled."""
    return gm.joint(
        sigma=gm.data(np.asarray(data["sigma"], float)),
        avg_effect=dist.Normal(0.0, 10.0),
        log_stddev=dist.Normal(5.0, 1.0),
        school_effects=lambda avg_effect, log_stddev: dist.Normal(avg_effect, jnp.exp(log_stddev)).expand([8]),
        y=lambda school_effects, sigma: dist.Normal(school_effects, sigma),
    ).condition(y=np.asarray(data["y"], float))


def exact(names, means, sds):
    return {name: (mean, sd, 0.0, 0.0) for name, mean, sd in zip(names, means, sds, strict=True)}


@pytest.mark.usefixtures("x64")
def test_the_evidence_of_the_path_is_exact_in_both_orders():
    case = load("inference_gym", "ig_brownian_known")
    y = case.arrays["y"]
    assert np.isnan(y).sum() == 10
    first = brownian().marginalize("x").condition(y=y, missing="marginalise")
    second = brownian().condition(y=y, missing="marginalise").marginalize("x")
    for model in (first, second):
        assert float(gm.compile(model).log_density({})) == pytest.approx(case.meta["log_Z"], abs=1e-9)


def test_nuts_finds_the_path_through_the_gaps():
    case = load("inference_gym", "ig_brownian_known")
    model = brownian().condition(y=case.arrays["y"], missing="marginalise")
    tree = gm.sample(model, gm.NUTS(), chains=4, draws=4000, warmup=1000, seed=0, progress=False)
    names = [f"x[{i + 1}]" for i in range(30)]
    truth = exact(names, case.arrays["exact_mean"], case.arrays["exact_sd"])
    score = score_moments(truth, quantities(tree["posterior"], truth))
    assert score.passed, score
    assert max(abs(score.z[name]) for name in names) < 4.0


def test_nuts_finds_the_eight_schools():
    case = load("inference_gym", "ig_eight_schools")
    model = schools(case.meta["data"]).reparametrize(school_effects=gm.NonCentred())
    tree = gm.sample(model, gm.NUTS(target_accept=0.9), chains=4, draws=4000, warmup=1000, seed=0, progress=False)
    names = case.meta["names"]
    truth = exact(names, case.meta["exact_mean"], case.meta["exact_sd"])
    score = score_moments(truth, quantities(tree["posterior"], truth))
    assert score.passed, score
    assert max(abs(score.z[name]) for name in names) < 4.0


def test_a_gap_that_is_read_as_zero_is_rejected():
    """The mistake that a mask is there to prevent: the filled value is taken for an observation."""
    case = load("inference_gym", "ig_brownian_known")
    model = brownian().condition(y=np.nan_to_num(case.arrays["y"]))
    tree = gm.sample(model, gm.NUTS(), chains=4, draws=2000, warmup=500, seed=0, progress=False)
    truth = exact([f"x[{i + 1}]" for i in range(30)], case.arrays["exact_mean"], case.arrays["exact_sd"])
    score = score_moments(truth, quantities(tree["posterior"], truth))
    assert abs(score.worst[1]) > 20.0
