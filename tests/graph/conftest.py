"""What the tests of the graph share."""

import numpyro.distributions as dist
import pytest

import gmdsl as gm


@pytest.fixture
def model():
    return gm.joint(
        y=lambda theta, sigma: dist.Normal(theta, sigma),
        theta=lambda mu, tau: dist.Normal(mu, tau),
        tau=dist.HalfNormal(1.0),
        mu=dist.Normal(0.0, 1.0),
        sigma=gm.data(1.0),
    ).condition(y=0.0)
