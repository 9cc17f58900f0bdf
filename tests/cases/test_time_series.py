"""A published GARCH(1, 1) posterior, written as a path with a carry."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import gmdsl as gm
from tests.cases.models import flat
from tests.cases.scoring import load, quantities, score_moments


def garch(data):
    """y_t ~ N(mu, v_t) with v_t = alpha0 + alpha1 (y_{t-1} - mu)^2 + beta1 v_{t-1}."""
    y = np.asarray(data["y"])

    def step(before, v, mu, alpha0, alpha1, beta1):
        v = alpha0 + alpha1 * (before - mu) ** 2 + beta1 * v
        return v, dist.Normal(mu, jnp.sqrt(v))

    model = gm.joint(
        sigma1=gm.data(data["sigma1"]),
        mu=flat(constraints.real),
        alpha0=flat(constraints.positive),
        alpha1=flat(constraints.unit_interval),
        beta1=lambda alpha1: flat(constraints.interval(0.0, 1.0 - alpha1)),
        y=gm.scan(
            step,
            first=lambda mu, sigma1: dist.Normal(mu, sigma1),
            carry=lambda sigma1: sigma1**2,
            length=len(y),
        ),
    )
    return model.condition(y=y)


@pytest.mark.usefixtures("x64")
def test_the_log_density_equals_every_pin():
    case = load("posterior", "pdb_garch11")
    density = gm.compile(garch(case.meta["data"]))
    for pin in case.meta["log_density_pins"]:
        point = {name: value for name, value in pin.items() if name != "log_density"}
        assert float(density.log_density(point)) == pytest.approx(pin["log_density"], rel=1e-12)


def test_nuts_recovers_the_exact_moments():
    case = load("posterior", "pdb_garch11")
    sampler = gm.NUTS(metric=gm.adapt.DenseMetric())
    tree = gm.sample(garch(case.meta["data"]), sampler, draws=10_000, warmup=1000, seed=0, progress=False)
    score = score_moments(case.truth, quantities(tree["posterior"], case.truth))
    assert score.passed, score
