import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.core.jaxprs.tape import traced
from gmdsl.exact.conditionals.as_floats import run_as_floats


def test_programs_of_whole_numbers_have_derivatives():
    weights = np.array([[1, 2], [3, 5]])

    def function(x):
        s = jnp.round(x).astype(int)
        moved = jnp.ones(4, int).at[np.array([1, 2])].set(s)
        return (s @ weights @ s + moved[2] * s[0] ** 2 - jnp.pad(s, 1)[1]).astype(float)

    program = traced(lambda v: function(v["x"]), {"x": jnp.zeros(2)})

    def as_floats(x):
        return run_as_floats(program, program.steps, {program.inputs["x"]: x}, program.output, jnp.float32)

    point = jnp.array([2.0, -3.0])
    assert float(as_floats(point)) == float(function(point))
    smooth = lambda x: x @ weights @ x + x[1] * x[0] ** 2 - x[0]  # noqa: E731
    np.testing.assert_allclose(jax.grad(as_floats)(point), jax.grad(smooth)(point), rtol=1e-6)
    assert not np.asarray(jax.grad(lambda x: function(x) * 1.0)(point)).any()
