import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.jaxprs.linear import is_linear, moved_positions
from gmdsl.core.jaxprs.tape import traced

MASK = jnp.array([True, False, True])
TABLE = jnp.arange(9.0).reshape(3, 3) ** 2
REAL = (np.array([1.0, -2.0, 3.0]), np.array([0.5, 4.0, -6.0]))
HALVES = (np.full(3, 0.5), np.full(3, 0.5))
WHOLE = (np.array([1, 0, 1]), np.array([1, 2, 1]))
LARGE = (np.array([60, 60, 0]), np.array([0, 0, 120]))


def steps(function, *arrays):
    names = "xyz"[: len(arrays)]
    shapes = {
        name: jax.ShapeDtypeStruct(np.shape(a), jnp.asarray(a).dtype) for name, a in zip(names, arrays, strict=True)
    }
    return traced(lambda v: function(*(v[name] for name in names)), shapes)


@pytest.mark.parametrize(
    ("name", "function", "points", "linear"),
    [
        ("add", lambda x: x + 2.0, REAL, True),
        ("sub", lambda x: 1.0 - x, REAL, True),
        ("neg", lambda x: -x, REAL, True),
        ("reduce_sum", jnp.sum, REAL, True),
        ("cumsum", jnp.cumsum, REAL, True),
        ("mul", lambda x: 3.0 * x, REAL, True),
        ("dot_general", lambda x: TABLE @ x, REAL, True),
        ("div", lambda x: x / 4.0, REAL, True),
        ("select_n", lambda x: jnp.where(MASK, x, 2.0 * x), REAL, True),
        ("gather", lambda x: x[jnp.array([2, 0])], REAL, True),
        ("concatenate", lambda x: jnp.concatenate([x, 2.0 * x]), REAL, True),
        ("convert_element_type", lambda s: s.astype(float), WHOLE, True),
        ("reduce_sum", jnp.sum, WHOLE, True),
        ("exp", jnp.exp, REAL, False),
        ("mul", lambda x: x * x, REAL, False),
        ("dot_general", lambda x: x @ x, REAL, False),
        ("div", lambda x: 1.0 / (x + 9.0), REAL, False),
        ("div", lambda s: jax.lax.div(s, 2), WHOLE, False),
        ("select_n", lambda x: jnp.where(x > 0.0, x, 2.0), REAL, False),
        ("gather", lambda s: TABLE[0][s], WHOLE, False),
        ("convert_element_type", lambda x: x.astype(int), HALVES, False),
        ("convert_element_type", lambda s: s.astype(jnp.int8), (np.full(3, 100), np.full(3, 100)), False),
        ("reduce_sum", lambda s: jnp.sum(s, dtype=jnp.int8), tuple(a.astype(np.int8) for a in LARGE), False),
    ],
)  # fmt: skip
def test_a_step_is_linear_where_its_values_add_up_and_not_otherwise(name, function, points, linear):
    tape = steps(function, points[0])
    step = [step for step in tape.steps if step.name == name][-1]
    assert is_linear(step, [read not in tape.values for read in step.reads]) == linear
    x, y = points
    at = [np.asarray(function(jnp.asarray(point)), float) for point in (x + y, 0 * x, x, y)]
    assert np.allclose(at[0] + at[1], at[2] + at[3]) == linear


@pytest.mark.parametrize(
    ("name", "function", "positions"),
    [
        ("gather", lambda x, y, s: x[jnp.stack([s, s])], (0,)),
        ("dynamic_slice", lambda x, y, s: jax.lax.dynamic_slice(x, (s,), (2,)), (0,)),
        ("dynamic_update_slice", lambda x, y, s: jax.lax.dynamic_update_slice(x, y, (s,)), (0, 1)),
        ("select_n", lambda x, y, s: jax.lax.select_n(s > 0, x, y), (1, 2)),
        ("pad", lambda x, y, s: jax.lax.pad(x, y[0], [(1, 2, 0)]), (0, 1)),
        ("concatenate", lambda x, y, s: jnp.concatenate([x, y, x]), (0, 1, 2)),
    ],
)
def test_what_is_moved_is_told_from_what_says_where_to(name, function, positions):
    tape = steps(function, np.zeros(3), np.zeros(3), 0)
    (step,) = [step for step in tape.steps if step.name == name]
    assert moved_positions(step) == positions
