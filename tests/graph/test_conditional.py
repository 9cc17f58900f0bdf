import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm

NORMAL = dist.Normal(0.0, 1.0)
SMOOTH = dist.MultivariateNormal(jnp.zeros(2), jnp.array([[1.0, 0.5], [0.5, 2.0]]))
MODELS = {
    "distribution": lambda: gm.joint(x=dist.Gamma(2.0, 3.0).expand([4])),
    "event": lambda: gm.joint(x=dist.Dirichlet(jnp.array([2.0, 3.0, 4.0])).expand([2])),
    "mixture": lambda: gm.mixture([0.3, 0.7], gm.joint(x=dist.Gamma(2.0, 3.0)), gm.joint(x=dist.HalfNormal(1.0))),
    "marginal": lambda: gm.joint(z=NORMAL, x=lambda z: dist.Normal(z, 1.0).expand([3])).marginalize("z"),
    "path": lambda: gm.joint(x=gm.scan(lambda x: dist.Gamma(1.0 + x, 2.0), first=dist.Gamma(2.0, 1.0), length=3)),
    "noised": lambda: gm.noise(gm.joint(x=SMOOTH), gm.VP()).at(0.3),
}


@pytest.mark.parametrize("kind", MODELS)
def test_every_conditional_is_decoded_with_one_jacobian_encoded_back_and_scored_in_its_parts(kind, x64):
    (factor,) = MODELS[kind]().factors
    drawn = factor.draw(jax.random.key(0), {})
    free = factor.encode(drawn, ("x",))
    value, total = factor.decode({}, free)
    np.testing.assert_allclose(value["x"], drawn["x"], rtol=1e-9)
    np.testing.assert_allclose(jnp.sum(factor.pointwise(drawn)["x"]), factor.log_density(drawn), rtol=1e-10)
    flat, rebuild = jax.flatten_util.ravel_pytree(free["x"])
    jacobian = jax.jacobian(lambda u: factor.decode({}, {"x": rebuild(u)})[0]["x"].ravel())(flat)
    if jacobian.shape[0] != jacobian.shape[1]:  # of a simplex: the last of each three is what the others leave
        jacobian = jacobian[np.arange(len(jacobian)) % 3 < 2]
    np.testing.assert_allclose(total, factor.log_density(drawn) + np.linalg.slogdet(jacobian)[1], rtol=1e-9)
    assert factor.decode(drawn, {})[0] == {}
    np.testing.assert_allclose(factor.decode(drawn, {})[1], factor.log_density(drawn), rtol=1e-12)
