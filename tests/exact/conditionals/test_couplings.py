import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.jaxprs.tape import traced
from gmdsl.exact.conditionals.couplings import couplings, is_quadratic, known_couplings
from gmdsl.exact.conditionals.interactions import interactions

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(7, 7))


def ring(s, strength):
    return strength * jnp.sum(s * jnp.roll(s, 1)) + 0.3 * s[2] - 0.1 * s[1] ** 2


def hessian(found, pairs):
    full = np.zeros(pairs.shape)
    full[np.repeat(np.arange(len(full)), np.diff(pairs.indptr)), pairs.indices] = found.values
    return full


def test_they_are_second_derivatives(x64):
    dense = lambda s: s @ MATRIX @ s + s.sum()  # noqa: E731
    for density, count in ((lambda s: ring(s, 0.7), 12), (dense, 7)):
        program = traced(lambda v, density=density: density(v["x"]), {"x": jnp.zeros(count)})
        pairs = interactions(program).pairs
        found = couplings(program, pairs, jnp.float64)
        np.testing.assert_allclose(hessian(found, pairs), jax.hessian(density)(jnp.zeros(count)), atol=1e-12)
        np.testing.assert_allclose(found.linear, jax.grad(density)(jnp.zeros(count)), atol=1e-12)
        known = known_couplings(program, pairs, jnp.float64)
        np.testing.assert_allclose(known.values, found.values, atol=1e-12)


def test_of_traced_numbers_they_are_known_when_the_program_runs():
    known = []

    @jax.jit
    def run(strength):
        program = traced(lambda v: ring(v["x"], strength), {"x": jnp.zeros(6)})
        pairs = interactions(program).pairs
        known.append(known_couplings(program, pairs, jnp.float32))
        return couplings(program, pairs, jnp.float32).values

    values = np.asarray(run(2.0))
    assert known == [None]
    assert (values == 2.0).sum() == 12
    np.testing.assert_allclose(values[values < 0], -0.2, rtol=1e-6)


def test_only_degrees_up_to_two_are_quadratic():
    assert is_quadratic(np.array([2]))
    assert not is_quadratic(np.array([3]))
