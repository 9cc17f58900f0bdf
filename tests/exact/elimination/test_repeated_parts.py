import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.core.jaxprs.tape import traced
from gmdsl.exact.elimination.repeated_parts import repeated_parts, runner

SPACES = {"a": gm.Spin(), "b": gm.Spin(), "c": gm.Categorical(3)}


def sketch(function):
    program = traced(function, {name: jnp.zeros((), int) for name in SPACES})
    return program, [step.writes[0] for step in program.steps if step.name == "exp"]


def test_parts_with_the_same_steps_and_other_numbers_are_run_together(x64):
    def function(v):
        return jnp.exp(0.5 * v["a"] * v["b"]) + jnp.exp(0.2 * v["b"] * v["a"]) + jnp.exp(2.0 * v["c"])

    program, slots = sketch(function)
    found = repeated_parts(program, slots, SPACES)
    assert [family.members for family in found] == [[0, 1], [2]]
    run = runner(program, found[0], SPACES, float)
    states = np.array([[0, 0, 0], [0, 1, 0], [1, 1, 0]])  # the last column is the reference
    values = run(jnp.asarray(states), jnp.array([[0, 1], [0, 2]]), jnp.array([0, 1]))[..., 0]
    np.testing.assert_allclose(values[0], np.exp(0.5 * np.array([1.0, -1.0, 1.0])), rtol=1e-12)
    np.testing.assert_allclose(values[1], np.exp(0.2 * np.array([1.0, 1.0, -1.0])), rtol=1e-12)


def test_spins_and_labels_are_not_run_together():
    program, slots = sketch(lambda v: jnp.exp(2.0 * v["a"]) + jnp.exp(2.0 * v["c"]))
    assert len(repeated_parts(program, slots, SPACES)) == 2


def test_steps_with_other_settings_are_not_run_together():
    program = traced(lambda v: jnp.exp(v["s"][0] * 1.0) + jnp.exp(v["s"][1] * 1.0), {"s": jnp.zeros(2, int)})
    slots = [step.writes[0] for step in program.steps if step.name == "exp"]
    assert len(repeated_parts(program, slots, {"s": gm.Spin(2)})) == 2


def test_many_states_are_run_in_pieces_with_the_same_result(x64, monkeypatch):
    program, slots = sketch(lambda v: jnp.exp(0.5 * v["a"] * v["b"]))
    (family,) = repeated_parts(program, slots, SPACES)
    states, colours = jnp.array([[0, 0], [1, 0]]), jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    whole = runner(program, family, SPACES, float)(states, colours, jnp.zeros(4, int))
    monkeypatch.setattr("gmdsl.exact.elimination.repeated_parts.AT_ONCE", 3)
    pieces = runner(program, family, SPACES, float)(states, colours, jnp.zeros(4, int))
    np.testing.assert_array_equal(whole, pieces)
    assert not (whole == whole[0, 0]).all()
