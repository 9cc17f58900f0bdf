import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy import stats

import gmdsl as gm
from gmdsl.graph.factor import call_by_name
from gmdsl.graph.factors.distributed import Distributed
from gmdsl.graph.factors.weighted import Weighted
from gmdsl.graph.factors.wrapped import innermost, unwrapped, with_innermost

Y = np.array([1.5, np.nan])


def wrapped():
    model = gm.joint(b=dist.Normal(0.0, 1.0), y=lambda b: dist.Normal(b, 1.0).expand([2]))
    model = model.condition(y=Y, missing="marginalise").weight(y=3.0)
    return model.factors[1], (model**2.0).factors[1]


def test_what_is_inside_is_the_conditional_of_the_whole_child():
    weighted, powered = wrapped()
    for factor in (weighted, powered):
        assert isinstance(innermost(factor), Distributed)
        assert innermost(factor).name == "p(y | b)"
    assert innermost(innermost(powered)) is innermost(powered)
    assert unwrapped(weighted) is innermost(weighted)
    assert unwrapped(powered) is powered  # the terms of a power are no conditional


def test_powers_gaps_and_weights_stay_around_another_inside(x64):
    other = Distributed("y", call_by_name(lambda b: dist.Normal(b, 2.0).expand([2])))
    _, powered = wrapped()
    again = with_innermost(powered, other)
    assert innermost(again) is other
    assert [type(f) for f in (again, again.factor)] == [type(powered), type(powered.factor)]
    exact = 2.0 * 3.0 * stats.norm.logpdf(1.5, 0.5, 2.0)
    np.testing.assert_allclose(again.log_density({"b": 0.5, "y": Y}), exact, rtol=1e-12)


def test_a_wrapped_child_that_is_free_has_its_own_terms_and_one_jacobian(x64):
    factor = Weighted(Distributed("t", call_by_name(lambda: dist.HalfNormal(2.0))), 3.0)
    value, total = factor.decode({}, {"t": jnp.array(0.7)})
    np.testing.assert_allclose(value["t"], np.exp(0.7), rtol=1e-12)
    np.testing.assert_allclose(total, 3.0 * stats.halfnorm.logpdf(np.exp(0.7), scale=2.0) + 0.7, rtol=1e-12)
    np.testing.assert_allclose(factor.encode(value, ("t",))["t"], 0.7, rtol=1e-12)
