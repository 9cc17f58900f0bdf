import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.core.jaxprs.tape import TooLargeError, is_known, traced


def test_what_is_free_of_the_variables_is_computed_once_and_the_rest_are_steps():
    found = traced(lambda v: jnp.sum(jnp.sqrt(jnp.arange(4.0)) * v["x"]), {"x": jnp.zeros(4)})
    assert [step.name for step in found.steps] == ["mul", "reduce_sum"]
    np.testing.assert_allclose(found.values[found.steps[0].reads[0]], np.sqrt(np.arange(4.0)), rtol=1e-6)


def test_calls_are_written_in_line_except_where_a_derivative_is_declared():
    found = traced(lambda v: jax.jit(lambda x: jax.nn.softplus(x) + jnp.roll(x, 1))(v["x"]).sum(), {"x": jnp.zeros(3)})
    names = [step.name for step in found.steps]
    assert "jit" not in names
    assert names.count("custom_jvp_call") == 1


def test_a_call_made_twice_keeps_its_values_apart():
    double = jax.jit(lambda x: 2.0 * x + 1.0)
    found = traced(lambda v: double(v["x"]) * double(v["y"]), {"x": jnp.zeros(()), "y": jnp.zeros(())})
    given = {found.inputs["x"]: jnp.float32(3.0), found.inputs["y"]: jnp.float32(-1.0)}
    assert float(found.run(found.steps, given, found.output)) == -7.0


def test_a_part_is_run_by_the_steps_that_lead_to_it():
    found = traced(lambda v: jnp.exp(v["x"]) + jnp.sin(v["y"]), {"x": jnp.zeros(()), "y": jnp.zeros(())})
    slot = found.steps[-1].reads[1]
    assert [step.name for step in found.needed(slot)] == ["sin"]
    assert abs(float(found.run(found.needed(slot), {found.inputs["y"]: 0.5}, slot)) - np.sin(0.5)) < 1e-6


def test_numbers_that_arrive_when_the_program_runs_are_not_known():
    seen = []

    def outer(scale):
        found = traced(lambda v: v["x"] * scale + jnp.ones(()), {"x": jnp.zeros(())})
        seen.extend(is_known(value) for value in found.values.values())
        return found.run(found.steps, {found.inputs["x"]: 2.0}, found.output)

    assert float(jax.jit(outer)(3.0)) == 7.0
    assert set(seen) == {False, True}


def test_what_is_known_is_computed_by_one_program(compilations):
    matrix = np.diag(np.arange(1.0, 6.0, dtype=np.float32))
    before = len(compilations)
    found = traced(lambda v: jnp.exp(jnp.linalg.cholesky(matrix @ matrix.T)).sum() * v["x"], {"x": jnp.float32(1.0)})
    assert len(compilations) - before <= 3  # it is one; the arrays that the function makes take two
    assert [step.name for step in found.steps] == ["mul"]
    expected = np.exp(np.diag(np.arange(1.0, 6.0))).sum()
    np.testing.assert_allclose(found.run(found.steps, {found.inputs["x"]: 2.0}, found.output), 2 * expected, rtol=1e-5)


def test_a_program_with_a_large_array_is_refused_before_anything_is_computed():
    wide = lambda v: v["x"] + jnp.sum(jnp.zeros((10**6, 10**6)))  # noqa: E731
    with pytest.raises(TooLargeError, match="an array of 1000000000000 numbers, more than 1000"):
        traced(wide, {"x": jnp.zeros(())}, most=1000)
