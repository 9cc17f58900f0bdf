import gc

import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.results import digest as results
from gmdsl.results.digest import model_digest


@pytest.fixture(scope="module")
def model():
    return gm.joint(
        m=dist.HalfNormal(1.0), v=lambda m: dist.Normal(m, 1.0).expand([2, 3]), y=lambda v: dist.Normal(v, 1.0)
    )


def test_digests_tell_models_and_data_apart(model):
    first, second = model.condition(y=np.zeros((2, 3))), model.condition(y=np.ones((2, 3)))
    assert model_digest(first) == model_digest(model.condition(y=np.zeros((2, 3))))
    assert len({model_digest(m) for m in (model, first, second)}) == 3


def test_digests_see_functions_and_numbers():
    models = [gm.joint(x=dist.Normal(0, s)) for s in (1.0, 9.0)]
    models += [gm.energy(f, x=gm.Real()) for f in (lambda x: x**2, lambda x: 9 * x**4)]
    assert len({model_digest(m) for m in models}) == 4


def test_the_digest_of_a_model_is_kept_as_long_as_the_model():
    """Made anew for another model, also one at the same place in memory."""

    def made(scale):
        return gm.energy(lambda x, s: 0.5 * x @ x / s, x=gm.Real(2), s=gm.data(scale))

    seen = [results.model_digest(made(float(scale))) for scale in range(1, 30)]
    assert len(set(seen)) == len(seen)
    gc.collect()
    held = made(5.0)
    before = len(results._DIGESTS)
    assert results.model_digest(held) == results.model_digest(held) == seen[4]
    assert len(results._DIGESTS) == before + 1
    del held
    gc.collect()
    assert len(results._DIGESTS) == before
