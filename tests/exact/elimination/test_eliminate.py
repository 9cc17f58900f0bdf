import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

import gmdsl as gm
from gmdsl.exact.elimination.eliminate import log_sum_exp
from gmdsl.spaces.states import joint_states


def brute(function, spaces):
    states = joint_states(spaces, 2**17)
    return logsumexp(np.asarray(jax.jit(jax.vmap(function))(states)))


def random_tree(count, seed):
    """Edges, a table for each of them, and a field for each node."""
    generator = np.random.default_rng(seed)
    edges = np.array([(int(generator.integers(0, i)), i) for i in range(1, count)])
    return edges, generator.normal(size=(count - 1, 3, 3)), generator.normal(size=(count, 3))


@pytest.mark.parametrize("count", [9, 100])
def test_a_random_tree_is_summed_out(count, x64):
    edges, pair, field = random_tree(count, 3)

    def function(v):
        k = v["k"]
        ends = jnp.asarray(pair)[jnp.arange(count - 1), k[edges[:, 0]], k[edges[:, 1]]]
        return jnp.sum(ends) + jnp.sum(jnp.asarray(field)[jnp.arange(count), k])

    spaces = {"k": gm.Categorical(3, count)}
    up = field.copy()  # messages from the leaves to the root
    for (parent, child), table in zip(edges[::-1], pair[::-1], strict=True):
        up[parent] += logsumexp(table + up[child], axis=1)
    found = jax.jit(lambda: log_sum_exp(function, spaces))()
    np.testing.assert_allclose(found, logsumexp(up[0]), rtol=1e-12)
    if count == 9:
        np.testing.assert_allclose(found, brute(function, spaces), rtol=1e-12)


def test_a_potts_model_on_a_torus_is_summed_out(x64):
    def function(v):
        k = v["k"]
        return sum(0.7 * jnp.sum(k == jnp.roll(k, 1, axis)) + 0.2 * jnp.sum(k == 1) for axis in (0, 1))

    spaces = {"k": gm.Categorical(3, 3, 3)}
    found = jax.jit(lambda: log_sum_exp(function, spaces))()
    np.testing.assert_allclose(found, brute(function, spaces), rtol=1e-12)


def test_variables_of_different_kinds_are_summed_out_together(x64):
    spaces = {"s": gm.Spin(3), "k": gm.Categorical(4, 2), "b": gm.Binary(), "c": gm.Categorical(5)}

    def function(v):
        across = jnp.sin(1.0 * v["c"] * v["k"][0]) + v["s"] @ jnp.arange(3.0) * v["b"]
        return across + jnp.cos(v["k"][1] + 2.0 * v["s"][2]) + 0.3 * v["k"][0] * v["s"][0] + jnp.log1p(1.0 * v["c"])

    np.testing.assert_allclose(jax.jit(lambda: log_sum_exp(function, spaces))(), brute(function, spaces), rtol=1e-12)


def test_excluded_states_and_impossible_ways_have_no_weight_and_no_gradient(x64):
    steps = np.where(np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1]]) > 0, 0.0, -np.inf)

    def function(v, slope):
        moves = jnp.asarray(steps)[v["k"][:-1], v["k"][1:]]
        return jnp.sum(moves) + slope * jnp.sum(v["k"]) + jnp.where(v["k"][-1] == 0, 0.0, -jnp.inf)

    spaces = {"k": gm.Categorical(3, 8)}
    value, slope = jax.jit(jax.value_and_grad(lambda slope: log_sum_exp(lambda v: function(v, slope), spaces)))(0.4)
    np.testing.assert_allclose([value, slope], [0.0, 0.0], atol=1e-12)  # all are 0: none may go down again
    free = jax.jit(lambda: log_sum_exp(lambda v: function(v, 0.4) + 0.0 * v["k"][0], spaces))()
    np.testing.assert_allclose(free, brute(lambda v: function(v, 0.4), spaces), atol=1e-12)


def test_no_possible_state_gives_minus_infinity(x64):
    def function(v):
        around = jnp.roll(v["s"], 1)
        return jnp.sum(jnp.where(v["s"] == around, -jnp.inf, 0.0))  # a ring of three has no such state

    assert float(log_sum_exp(function, {"s": gm.Spin(3)})) == -np.inf


def test_gradients_are_expectations(x64):
    couplings, fields = np.random.default_rng(0).normal(size=(5, 5)), np.linspace(-1.0, 1.0, 5)

    def function(v, fields):
        return v["s"] @ couplings @ v["s"] + fields @ v["s"]

    spaces = {"s": gm.Spin(5)}
    found = jax.jit(jax.grad(lambda h: log_sum_exp(lambda v: function(v, h), spaces)))(fields)
    states = np.array(list(itertools.product([-1, 1], repeat=5)))
    weights = np.exp(np.einsum("ni,ij,nj->n", states, couplings, states) + states @ fields)
    np.testing.assert_allclose(found, weights @ states / weights.sum(), rtol=1e-10)


def test_too_wide_sums_are_refused_with_the_width():
    def function(v):
        return jnp.sum(v["s"]) ** 2 * 0.01

    assert log_sum_exp(function, {"s": gm.Spin(30)}) == "width 29: a table of 1.1e+09 entries, more than 1.0e+06"


def test_nothing_is_compiled_for_new_numbers(x64, compilations):
    @jax.jit
    def run(beta):
        return log_sum_exp(lambda v: beta * jnp.sum(v["s"][1:] * v["s"][:-1]), {"s": gm.Spin(40)})

    first = float(run(0.5))
    before = len(compilations)
    np.testing.assert_allclose(float(run(1.0)) - first, 39 * np.log(np.cosh(1.0) / np.cosh(0.5)), rtol=1e-12)
    assert len(compilations) == before
