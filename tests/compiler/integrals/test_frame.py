import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.compiler.integrals.frame import find_region
from gmdsl.compiler.integrals.integrands import Integrands, NoIntegralError
from gmdsl.core.pytrees.function import Function


def region(model, function=None):
    with jax.enable_x64(True):
        return find_region(Integrands(FlatTarget.of(model), None if function is None else Function(function)))


def test_a_tail_that_ends_leaves_nothing_out():
    found = region(gm.joint(x=dist.StudentT(2.1, 0.0, 1.0)), lambda v: v["x"] ** 2)
    assert (found.tails < 1e-12).all()
    assert found.frame.high[0] > 250.0  # the second moment falls like exp(-0.1 u)


def test_the_tail_behind_an_underflow_is_told():
    """x^0.01 exp(-x) / x ends at x = 1e-308, where it has 1e-3 of its mass to come."""
    found = region(gm.energy(lambda x: x + 0.99 * jnp.log(x), x=gm.Positive()))
    total = np.exp(4.599479878042022 - found.frame.top)
    assert 5e-4 < found.tails[0] / total < 5e-3


@pytest.mark.parametrize("power", [1.0, 1.2])
def test_a_moment_that_does_not_exist_is_refused_in_words(power):
    with pytest.raises(NoIntegralError, match="does not seem to exist"):
        region(gm.joint(x=dist.Cauchy(0.0, 1.0)), lambda v: jnp.abs(v["x"]) ** power)


def test_the_end_of_a_support_is_no_tail():
    found = region(gm.energy(lambda x: jnp.where(jnp.abs(x - 1.0) < 2.0, 0.0, jnp.inf), x=gm.Real()))
    assert found.tails[0] == 0.0


def test_the_end_of_a_map_is_a_tail():
    for law in (dist.InverseGamma(1.0, 1.0), dist.Pareto(1.0, 1.0)):
        with pytest.raises(NoIntegralError, match="does not seem to exist"):
            region(gm.joint(x=law), lambda v: v["x"])
    with pytest.raises(NoIntegralError, match="does not seem to exist"):
        region(gm.joint(x=dist.Beta(1.0, 2.0)), lambda v: 1.0 / v["x"])


def test_small_correlations_rotate_nothing_and_large_ones_do():
    weak = region(gm.energy(lambda x: 0.5 * (x @ x) + 0.05 * x[0] * x[1], x=gm.Real(2)))
    strong = region(gm.energy(lambda x: 0.5 * (x @ x) + 0.8 * x[0] * x[1], x=gm.Real(2)))
    assert np.count_nonzero(weak.frame.factor) == 2
    assert np.count_nonzero(strong.frame.factor) == 4
