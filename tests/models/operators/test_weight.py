import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as stats

import gmdsl as gm

pytestmark = pytest.mark.usefixtures("x64")

Y = np.array([0.4, 1.9, -0.6])


def model(count):
    return gm.joint(
        mu=dist.Normal(0.0, 2.0), s=dist.HalfNormal(1.0), y=lambda mu, s: dist.Normal(mu, s).expand([count])
    )


def test_weights_of_vectors_are_one_per_vector():
    vectors = gm.joint(y=dist.Normal(0.0, 1.0).expand([2, 3]).to_event(1)).condition(y=np.ones((2, 3)))
    term = 3 * stats.norm.logpdf(1.0)
    np.testing.assert_allclose(gm.compile(vectors.weight(y=[1.0, 4.0])).log_density({}), 5 * term, rtol=1e-13)
    with pytest.raises(gm.SpecError, match=r"shape \(2, 3\), but y has terms of shape \(2,\)"):
        vectors.weight(y=np.ones((2, 3)))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"y": [1.0, -1.0, 1.0]}, "-1.0 is no weight. Weights are finite and not negative."),
        ({"y": [1.0, np.inf, 1.0]}, "inf is no weight"),
        ({"y": np.nan}, "the value is NaN"),
        ({"y": [1.0, 2.0]}, r"shape \(2,\), but y has terms of shape \(3,\)"),
        ({"mu": 1.0}, "mu is not observed"),
        ({"yy": 1.0}, "there is no 'yy'; the observed variables are y"),
    ],
)
def test_what_is_no_weight_is_refused(weights, message):
    with pytest.raises(gm.SpecError, match=message):
        model(3).condition(y=Y).weight(weights)


def test_weights_broadcast_to_the_terms_and_not_beyond():
    terms = stats.norm.logpdf(np.arange(6.0).reshape(2, 3))
    table = gm.joint(y=dist.Normal(0.0, 1.0).expand([2, 3])).condition(y=np.arange(6.0).reshape(2, 3))
    for weights in (2.0, [1.0, 2.0, 3.0], [[1.0], [2.0]], np.arange(6).reshape(2, 3)):
        found = gm.compile(table.weight(y=weights)).log_density({})
        np.testing.assert_allclose(found, np.sum(np.asarray(weights) * terms), rtol=1e-13)
    for shape in ((2,), (3, 3), (1, 2, 3)):
        with pytest.raises(gm.SpecError, match=r"y has terms of shape \(2, 3\)"):
            table.weight(y=np.ones(shape))
