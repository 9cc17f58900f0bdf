import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.compiler.free_values import FreeValues, encoded_blocks
from gmdsl.compiler.plan import plan
from gmdsl.graph.rows import NamedRows


def model(count):
    nodes = {}
    for j in range(count):
        nodes[f"a{j}"] = dist.HalfNormal(1.0 + j)
        nodes[f"v{j}"] = dist.Normal(0.0, 1.0 + j).expand([2])
    return gm.joint(nodes)


@pytest.mark.parametrize("names", [["a0", "a1", "a2"], ["a5", "a1"], ["v0", "v1", "v2"], ["v3", "v0"]])
def test_rows_are_the_values_of_each_name(names):
    x = jnp.arange(60.0)
    free = FreeValues(plan(model(20)), x)
    assert np.array_equal(free.rows(tuple(names)), jnp.stack([free.of(name) for name in names]))


def test_scalars_that_follow_one_another_are_one_slice():
    steps = plan(gm.joint({f"x{j}": dist.Normal(0.0, 1.0) for j in range(40)}))
    names = tuple(f"x{j}" for j in range(5, 30))
    found = jax.make_jaxpr(lambda x: FreeValues(steps, x).rows(names))(jnp.zeros(40)).eqns
    assert [equation.primitive.name for equation in found if equation.primitive.name != "reshape"] == ["slice"]


def test_blocks_are_decoded_and_encoded(x64):
    steps = plan(model(20))
    assert [len(block.names) for block in steps.evaluation.blocks] == [20, 20]
    x = jnp.linspace(-1.0, 1.0, steps.dim)
    have = NamedRows()
    terms = FreeValues(steps, x).decode_blocks(have)
    free = FreeValues(steps, x)
    assert np.isclose(sum(map(float, terms)), sum(float(free.of(f"a{j}")) for j in range(20)), rtol=1e-12)
    assert np.isclose(have["a3"], np.exp(free.of("a3")))
    back = encoded_blocks(steps, have)
    assert np.allclose(back["a3"], free.of("a3"))
    assert np.allclose(back["v7"], free.of("v7"))


def test_discrete_values_are_whole():
    steps = plan(gm.joint({f"k{j}": dist.Categorical(jnp.ones(3) / 3) for j in range(20)}))
    found = FreeValues(steps, jnp.full(20, 1.9999999)).rows(tuple(f"k{j}" for j in range(20)))
    assert found.dtype == jnp.int32
    assert found.tolist() == [2] * 20
