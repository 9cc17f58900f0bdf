import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.distributions.bounds import batch_shape, checked_bounds


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gm.censored(dist.Dirichlet(jnp.ones(3)), high=1.0), r"its events have shape \(3,\), but a bound cuts"),
        (lambda: gm.censored(dist.Bernoulli(0.3), high=1.0), "BernoulliProbs has no cdf"),
        (lambda: gm.truncated(dist.Normal(0.0, 1.0)), "no bound was given"),
        (lambda: gm.truncated(dist.Normal(0.0, 1.0), -np.inf, np.inf), "no bound was given"),
        (lambda: gm.censored(dist.Normal(0.0, 1.0), 2.0, 1.0), "low is not below high. Swap them."),
        (lambda: gm.censored(dist.Normal(0.0, 1.0), low=np.array([0.0, np.nan])), "a bound is NaN"),
        (lambda: gm.censored(dist.Normal, low=0.0), "a NumPyro distribution is needed"),
    ],
)
def test_bounds_that_cannot_be_meant_are_refused(make, message):
    with pytest.raises(gm.SpecError, match=message):
        make()


def test_bounds_that_cut_nothing_are_none_and_shapes_are_joined():
    assert checked_bounds("censored", dist.Normal(0.0, 1.0), -np.inf, 3.0) == (None, 3.0)
    assert batch_shape(dist.Normal(jnp.zeros((2, 1)), 1.0), None, jnp.zeros(3)) == (2, 3)
