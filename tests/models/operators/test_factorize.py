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


def test_an_intervention_is_not_an_observation(x64):
    """x -> y with Gaussian noise: seeing y = 3 moves x, setting it does not."""
    model = gm.joint(x=dist.Normal(0.0, 1.0), y=lambda x: dist.Normal(x, 1.0), z=lambda x, y: dist.Normal(x + y, 1.0))
    done = gm.compile(model.do(y=3.0))
    at = {"x": 0.4, "z": 2.0}
    by_hand = dist.Normal(0.0, 1.0).log_prob(0.4) + dist.Normal(3.4, 1.0).log_prob(2.0)
    np.testing.assert_allclose(float(done.log_density(at)), by_hand, rtol=1e-12)
    seen = float(gm.compile(model.condition(y=3.0)).log_density(at))
    np.testing.assert_allclose(seen - by_hand, dist.Normal(0.4, 1.0).log_prob(3.0), rtol=1e-12)
    assert model.do(y=3.0).capabilities().drawable
    assert done.with_data(y=1.0).log_density(at) != done.log_density(at)


def test_a_deterministic_can_be_set_too(x64):
    set_ = gm.compile(chain().do(m=jnp.array([5.0, 6.0])))
    at = {"a": 0.3, "b": jnp.array([5.0, 6.0]), "c": 11.0}
    by_hand = (
        dist.Normal(0, 1).log_prob(0.3) + 2 * dist.Normal(0, 1).log_prob(0.0) + dist.Normal(11.3, 0.5).log_prob(11)
    )
    np.testing.assert_allclose(float(set_.log_density(at)), by_hand, rtol=1e-12)


def test_interventions_that_mean_nothing_are_refused():
    with pytest.raises(gm.SpecError, match="Did you mean 'b'"):
        chain().do(B=1.0)
    with pytest.raises(gm.SpecError, match="no arrow leads to it"):
        gm.energy(lambda x: x**2, x=gm.Real()).do(x=1.0)
    with pytest.raises(gm.SpecError, match="observed already"):
        chain().condition(c=1.0).do(c=2.0)
    with pytest.raises(gm.SpecError, match=r"shape \(3,\), but b was declared \(2,\)"):
        chain().do(b=[1.0, 2.0, 3.0])
    with pytest.raises(gm.SpecError, match="outside the support"):
        gm.joint(s=dist.HalfNormal(1.0)).do(s=-1.0)


def test_d_separation_in_chains_forks_and_colliders():
    fork = gm.joint(r=dist.Normal(0, 1), a=lambda r: dist.Normal(r, 1), b=lambda r: dist.Normal(r, 1))
    assert not fork.independent("a", "b")
    assert fork.independent("a", "b", given="r")
    assert fork.condition(r=0.0).independent("a", "b")
    collider = gm.joint(
        a=dist.Normal(0, 1), b=dist.Normal(0, 1), c=lambda a, b: dist.Normal(a + b, 1), d=lambda c: dist.Normal(c, 1)
    )
    assert collider.independent("a", "b")
    assert not collider.independent("a", "b", given="d")  # a descendant of the collider opens it too
    assert not collider.condition(d=0.0).independent(["a"], ["b"])
    assert collider.independent("a", "d", given="c")


def test_an_energy_ties_what_it_reads_together():
    pair = gm.energy(lambda x, y: x * y, x=gm.Real(), y=gm.Real()) * gm.energy(
        lambda y, z: y * z, y=gm.Real(), z=gm.Real()
    )
    assert not pair.independent("x", "z")
    assert pair.independent("x", "z", given="y")
    alone = gm.energy(lambda x: x**2, x=gm.Real()) * gm.energy(lambda y: y**2, y=gm.Real())
    assert alone.independent("x", "y")


def test_children_of_one_factor_depend_on_each_other():
    mixture = gm.mixture(
        [0.5, 0.5],
        gm.joint(x=dist.Normal(0, 1), y=dist.Normal(0, 1)),
        gm.joint(x=dist.Normal(3, 1), y=dist.Normal(3, 1)),
    )
    assert not mixture.independent("x", "y")


def test_questions_without_an_answer_are_refused():
    with pytest.raises(gm.SpecError, match="overlap"):
        chain().independent("a", "a")
    with pytest.raises(gm.SpecError, match="there is no 'q'"):
        chain().independent("a", "q")


def test_a_chain_is_cut_by_its_middle_and_a_collider_by_nothing_seen():
    line = gm.joint(a=dist.Normal(0, 1), b=lambda a: dist.Normal(a, 1), c=lambda b: dist.Normal(b, 1))
    assert not line.independent("a", "c")
    assert line.independent("a", "c", given="b")
    assert line.condition(b=0.0).independent("a", "c")
    assert line.do(b=0.0).independent("a", "c")
    assert not line.condition(c=0.0).independent("a", "b")


def test_seeing_moves_the_cause_and_setting_does_not(x64):
    """x ~ N(0, 1), y | x ~ N(x, 1): E[x | y = 3] = 3/2, and E[x | do(y = 3)] = 0."""
    model = gm.joint(x=dist.Normal(0.0, 1.0), y=lambda x: dist.Normal(x, 1.0))
    np.testing.assert_allclose(gm.expectation(model.condition(y=3.0), lambda v: v["x"]).value, 1.5, rtol=1e-8)
    np.testing.assert_allclose(gm.expectation(model.do(y=3.0), lambda v: v["x"]).value, 0.0, atol=1e-8)
    evidence = float(dist.Normal(0.0, np.sqrt(2.0)).log_prob(3.0))
    np.testing.assert_allclose(gm.log_normalizer(model.condition(y=3.0)).log_z, evidence, rtol=1e-8)
    np.testing.assert_allclose(gm.log_normalizer(model.do(y=3.0)).log_z, 0.0, atol=1e-8)
