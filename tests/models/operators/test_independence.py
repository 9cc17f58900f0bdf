import numpyro.distributions as dist
import pytest

import gmdsl as gm
from tests.models.operators.test_factorize import chain


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
