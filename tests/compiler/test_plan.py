import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import constraints

import gmdsl as gm
from gmdsl.compiler.plan import plan


def test_the_flat_vector_has_one_slot_per_free_variable():
    model = gm.joint(a=dist.Normal(0, 1).expand([2]), w=dist.Dirichlet(np.ones(3)), t=lambda a: a.sum())
    steps = plan(model)
    assert [(s.name, s.start, s.stop) for s in steps.slots] == [("a", 0, 2), ("w", 2, 4)]
    assert steps.dim == 4


def test_supports_come_from_the_one_distribution_that_defines_the_variable():
    model = gm.joint(a=dist.HalfNormal(1.0), b=lambda a: dist.Uniform(0.0, a)) * gm.energy(lambda z: z**2, z=gm.Real())
    steps = plan(model)
    assert steps.owns == (("a",), ("b",), ())
    assert steps.rooted == ("z",)


def test_parents_are_evaluated_before_children_whatever_the_declaration_order():
    model = gm.joint(y=lambda m: dist.Normal(m, 1), m=lambda a: 2 * a, a=dist.Normal(0, 1))
    assert plan(model).order == (2, 1, 0)


def test_terms_of_data_alone_are_told_apart():
    model = gm.joint(
        s=gm.data([1.0, 2.0]),
        total=lambda s: s.sum(),
        x=lambda total: dist.Normal(0.0, total),
        y=lambda x: dist.Normal(x, 1.0),
    )
    assert plan(model).fixed == {0}
    assert plan(model.condition(x=1.0)).fixed == {0, 1}


def test_unbound_inputs_are_refused_by_name():
    with pytest.raises(gm.SpecError, match=r"the inputs x have no value.*condition\(x=...\)"):
        plan(gm.joint(x=gm.input(gm.Real()), y=lambda x: dist.Normal(x, 1.0)))


def test_a_moving_support_with_two_makers_is_refused():
    def part():
        return gm.joint(a=dist.HalfNormal(1.0), b=lambda a: dist.ImproperUniform(constraints.interval(0.0, a), (), ()))

    with pytest.raises(gm.SpecError, match="b has the support .* whose bounds move"):
        plan(part() * gm.joint(a=gm.input(gm.Positive()), b=lambda a: dist.Uniform(0.0, a)))
