import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import constraints

import gmdsl as gm
from gmdsl.spaces.bijections import decoded, encoded, from_support, to_support


@pytest.mark.parametrize("constraint", [constraints.positive, constraints.simplex, constraints.ordered_vector])
def test_to_and_from_the_support_are_inverse_with_the_right_jacobian(constraint, x64):
    free = jnp.array([0.3, -0.2])
    value, jacobian = to_support(constraint, free)
    np.testing.assert_allclose(from_support(constraint, value), free, atol=1e-12)
    minor = jax.jacobian(lambda u: to_support(constraint, u)[0][:2])(free)
    np.testing.assert_allclose(jacobian, np.linalg.slogdet(minor)[1], rtol=1e-10)


def test_values_go_to_the_real_line_and_back(x64):
    value, jacobian = decoded(gm.Positive(), jnp.array(0.3))
    np.testing.assert_allclose((value, jacobian), (np.exp(0.3), 0.3), rtol=1e-12)
    np.testing.assert_allclose(encoded(gm.Positive(), value), 0.3, rtol=1e-12)
    assert decoded(gm.Real(), 1.0) == (1.0, None)
    assert decoded(gm.Binary(), 1) == (1, None)
