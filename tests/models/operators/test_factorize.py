"""Factorisation, intervention and independence on graphs whose answers are known."""

import functools
import operator

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def chain():
    return gm.joint(
        a=dist.Normal(0.0, 1.0),
        w=gm.data([2.0, 3.0]),
        m=lambda a, w: a * w,
        b=lambda m: dist.Normal(m, 1.0),
        c=lambda b, a: dist.Normal(b.sum() + a, 0.5),
    )


def test_the_product_of_the_parts_is_the_model(x64):
    model, values = chain(), {"a": 0.3, "b": jnp.array([0.1, 2.0]), "c": 1.0}
    parts = model.factorize()
    assert [part.free for part in parts] == [("a",), ("b",), ("c",)]
    assert [sorted(name for name, _ in part.inputs) for part in parts] == [[], ["a"], ["a", "b"]]
    again = gm.compile(functools.reduce(operator.mul, parts)).log_density(values)
    np.testing.assert_allclose(float(again), float(gm.compile(model).log_density(values)), rtol=1e-12)


def test_a_part_is_a_conditional_density_once_its_inputs_are_bound(x64):
    last = chain().factorize()[2].condition(a=0.3, b=jnp.array([0.1, 2.0]))
    np.testing.assert_allclose(float(gm.compile(last).log_density({"c": 1.0})), dist.Normal(2.4, 0.5).log_prob(1.0))


def test_observations_stay_with_their_part(x64):
    parts = chain().condition(c=1.0).factorize()
    assert [tuple(part.observed) for part in parts] == [(), (), ("c",)]
    assert functools.reduce(operator.mul, parts).free == ("a", "b")


def test_undirected_terms_and_two_definitions_are_refused():
    with pytest.raises(gm.SpecError, match="undirected"):
        gm.energy(lambda x: x**2, x=gm.Real()).factorize()
    with pytest.raises(gm.SpecError, match="x has two definitions"):
        (gm.joint(x=dist.Normal(0.0, 1.0)) * gm.joint(x=dist.Normal(1.0, 1.0))).factorize()
