import jax
import jax.numpy as jnp

from gmdsl.core.jaxprs.dataflow import CONSTANT, UNKNOWN, output_states


def traced(function, *inputs):
    return output_states(function, list(inputs), ["moving"] * len(inputs), lambda equation, states: "moving")


def test_what_reads_no_input_is_constant_and_the_rest_follows_the_rule():
    states = traced(lambda z: {"moves": jnp.sin(z), "stays": jnp.sin(jnp.ones(2))}, jnp.zeros(2))
    assert states == {"moves": "moving", "stays": CONSTANT}


def test_calls_are_followed_inside():
    states = traced(lambda z: (jax.jit(lambda a, b: (a, b))(z, jnp.ones(2)), jax.nn.relu(z)), jnp.zeros(2))
    assert states == (("moving", CONSTANT), "moving")


def test_what_the_rule_does_not_know_stays_unknown():
    states = output_states(
        lambda z: (jnp.sin(z) + 1.0, z),
        [jnp.zeros(2)],
        ["moving"],
        lambda equation, states: UNKNOWN if equation.primitive.name == "sin" else "moving",
    )
    assert states == (UNKNOWN, "moving")


def test_loops_are_left_to_the_rule():
    seen = []

    def rule(equation, states):
        seen.append(equation.primitive.name)
        return UNKNOWN

    output_states(lambda z: jax.lax.scan(lambda c, x: (c + x, c), 0.0, z)[0], [jnp.zeros(3)], ["moving"], rule)
    assert seen == ["scan"]


def test_nothing_has_no_states():
    assert traced(lambda z: None, jnp.zeros(2)) is None
