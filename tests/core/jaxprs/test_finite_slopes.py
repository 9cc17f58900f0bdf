import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from gmdsl.core.jaxprs.finite_slopes import with_finite_slopes


@pytest.mark.parametrize(
    "function",
    [
        lambda z, r: jnp.where(z > 0, jnp.log(z * r), 0.0),
        lambda z, r: jnp.where(z > 0, (1.0 / (z * r)) ** 2, 0.0),
        lambda z, r: jnp.where(z > 0, jnp.sqrt(z * r), r),
        lambda z, r: jnp.where(z > 0, dist.Normal(0.0, z * r).log_prob(0.3), 0.0),
        lambda z, r: jnp.where(z > 0, dist.Gamma(z * r, 1.0).log_prob(0.3), 0.0),
        lambda z, r: jnp.where(z > 0, (z * r) ** (z * r - 0.5), 0.0),
        lambda z, r: jax.jit(lambda z: jnp.where(z > 0, jax.nn.softplus(jnp.log(z * r)), 0.0))(z),
    ],
)
def test_a_branch_that_is_not_taken_adds_nothing_to_the_slope_and_the_others_keep_theirs(function, x64):
    function = jax.jit(function)
    safe = lambda z, r: with_finite_slopes(lambda z: function(z, r), z)  # noqa: E731
    for z in (0.0, 1.0, 2.0):
        np.testing.assert_allclose(safe(z, 0.7), function(z, 0.7), rtol=1e-13)
    for z in (1.0, 2.0):
        plain, found = (jax.grad(f, 1)(z, 0.7) for f in (function, safe))
        np.testing.assert_allclose(found, plain, rtol=1e-13)
        np.testing.assert_allclose(jax.hessian(safe, 1)(z, 0.7), jax.hessian(function, 1)(z, 0.7), rtol=1e-9)
    assert np.isnan(jax.grad(function, 1)(0.0, 0.7)) or function(0.0, 0.7) == 0.7
    assert jax.grad(safe, 1)(0.0, 0.7) == (1.0 if function(0.0, 0.7) == 0.7 else 0.0)


def test_slopes_of_what_does_not_depend_on_the_marked_argument_stay_as_they_are():
    slope = jax.grad(lambda r: with_finite_slopes(lambda z: z + jnp.sqrt(r), 1.0))
    assert slope(0.0) == jnp.inf
