import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist

import gmdsl as gm
from gmdsl.learning.learnable import learnable


class Part(eqx.Module):
    weight: jax.Array
    count: jax.Array

    def __call__(self, x):
        return jnp.sum(self.weight * x) * self.count


def test_parameters_and_float_arrays_of_modules_are_learnable_and_nothing_else():
    part = Part(jnp.ones(3), jnp.array(2))
    model = gm.joint(
        z=dist.Normal(0, 1).expand([3]), m=gm.given("z", part), s=gm.data([1.0]), p=gm.param(0.0),
        y=lambda m, s: dist.Normal(m, s),
    ).condition(y=[0.5])  # fmt: skip
    marks = learnable(model)
    assert marks.factors[1].call.function.weight is True
    assert marks.factors[1].call.function.count is False
    assert marks.params["p"].free is True
    assert marks.data["s"] is False
    assert marks.observed["y"] is False
    assert sum(jax.tree.leaves(marks)) == 2


def test_a_frozen_module_computes_the_same_and_is_not_learnable():
    part = Part(jnp.ones(3), jnp.array(2))
    model = gm.energy(gm.freeze(part), x=gm.Real(3))
    assert sum(jax.tree.leaves(learnable(model))) == 0
    assert float(gm.compile(model).energy({"x": jnp.ones(3)})) == 6.0
