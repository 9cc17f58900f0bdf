import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def test_powers_multiply_and_a_power_of_one_is_the_model_itself(x64):
    ring = gm.energy(lambda x: 4.0 * (jnp.linalg.norm(x) - 2.0) ** 2, x=gm.Real(2))
    assert ring**1 is ring
    twice, at = (ring**2) ** 0.5, {"x": jnp.array([1.0, 2.0])}
    assert float(gm.compile(twice).log_density(at)) == float(gm.compile(ring).log_density(at))
    assert twice.factors == ring.factors  # nothing is emitted for a power of one


def test_a_power_is_not_normalised_and_deterministics_stay():
    model = gm.joint(a=dist.Normal(0.0, 1.0), b=lambda a: 2.0 * a) ** 2
    assert not model.capabilities().normalized
    assert model.deterministic == ("b",)
    assert float(gm.compile(model).constrain(jnp.array([1.5]))["b"]) == 3.0
    renamed = model.rename(a="c")
    assert renamed.free == ("c",)
    assert "** 2" in renamed.capabilities().reasons["normalized"]


@pytest.mark.parametrize("exponent", [float("nan"), float("inf"), "2", None, True])
def test_a_power_that_is_no_number_is_refused(exponent):
    with pytest.raises((gm.SpecError, TypeError)):
        gm.joint(x=dist.Normal(0.0, 1.0)) ** exponent


def test_supports_that_move_are_refused_with_the_name():
    model = gm.joint(a=dist.HalfNormal(1.0), b=lambda a: dist.Uniform(0.0, a))
    with pytest.raises(gm.SpecError, match="the support of b depends on other variables"):
        model**2
    assert jax.tree.leaves(model) == jax.tree.leaves(model**1)
