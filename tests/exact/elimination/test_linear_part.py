import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.jaxprs.tape import traced
from gmdsl.exact.elimination.linear_part import leaves, weighed
from gmdsl.exact.elimination.scopes import scopes


def parts(function, size=4, dtype=float):
    program = traced(lambda v: function(v["s"]), {"s": jax.ShapeDtypeStruct((size,), jnp.dtype(dtype))})
    return program, *leaves(program, scopes(program))


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda s: 2.0 - 3.0 * jnp.sum(jnp.exp(s)), ["exp"]),
        (lambda s: jnp.sum(s[1:] * s[:-1]) + jnp.sum(jnp.sin(s)), ["mul", "sin"]),
        (lambda s: jnp.where(jnp.arange(4) > 1, jnp.exp(s), jnp.cos(s)) @ jnp.arange(4.0), ["cos", "exp"]),
        (lambda s: jax.lax.stop_gradient(s[0]) + s[1], ["stop_gradient"]),
    ],
)
def test_a_number_is_the_weighted_sum_of_its_leaves(function, names, x64):
    program, linear, slots = parts(function)
    constant, weights = weighed(program, linear, slots)
    made = {step.writes[0]: step.name for step in program.steps}
    assert sorted(made[slot] for slot in slots if slot in made) == names
    for point in np.random.default_rng(0).normal(size=(3, 4)):
        given = {program.inputs["s"]: jnp.asarray(point)}
        found = [program.run(program.needed(slot), given, slot) for slot in slots]
        total = constant + sum(jnp.sum(w * leaf) for w, leaf in zip(weights, found, strict=True))
        np.testing.assert_allclose(total, function(jnp.asarray(point)), rtol=1e-12)


def test_whole_numbers_are_added_as_floats(x64):
    program, linear, slots = parts(lambda s: (3 * jnp.sum(s[1:] * s[:-1]) - s[0]).astype(float), dtype=int)
    constant, weights = weighed(program, linear, slots)
    assert {weight.shape: np.unique(weight).tolist() for weight in weights} == {(3,): [3.0], (4,): [-1.0, 0.0]}
    assert float(constant) == 0.0


def test_weights_carry_gradients(x64):
    def outer(beta):
        program, linear, slots = parts(lambda s: beta**2 * jnp.sum(jnp.exp(s)))
        return weighed(program, linear, slots)[1][0][0]

    assert float(jax.grad(outer)(3.0)) == 6.0


def test_a_number_that_reads_nothing_is_its_constant(x64):
    program, linear, slots = parts(lambda s: jnp.float32(2.5))
    assert (linear, slots) == ([], [])
    assert float(weighed(program, linear, slots)[0]) == 2.5
