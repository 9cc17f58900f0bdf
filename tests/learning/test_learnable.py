import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

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


class Plain:
    """A callable with arrays that is no module."""

    def __init__(self):
        self.weight = np.ones(3)

    def __call__(self, x):
        return jnp.sum(self.weight * x**2)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (Plain(), "inside Plain are constants.*gm.param"),
        (functools.partial(lambda w, x: jnp.sum(w * x**2), np.ones(3)), "inside partial are constants.*Partial"),
        (lambda x: jnp.sum(x**2), "that a function closes over are constants"),
        (gm.freeze(Part(jnp.ones(3), jnp.array(2))), "its modules are frozen"),
    ],
)
def test_why_there_is_nothing_to_learn(function, message):
    with pytest.raises(gm.SpecError, match=f"nothing to learn.*{message}"):
        gm.fit(gm.energy(function, x=gm.Real(3)), {"x": np.ones((4, 3))}, gm.MaximumLikelihood(gm.MALA()), steps=1)
