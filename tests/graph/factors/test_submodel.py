import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.graph.factor import title
from gmdsl.graph.factors.submodel import chosen
from gmdsl.spaces.space import fixed_space


def test_a_title_reads_as_a_density():
    assert title(("x", "y"), ()) == "p(x, y)"
    assert title(("x",), ("a", "b")) == "p(x | a, b)"


def test_the_chosen_option_is_the_one_of_that_number():
    options = [{"x": jnp.full(2, k)} for k in range(3)]
    assert chosen(jnp.array(2), options)["x"].tolist() == [2, 2]


def test_a_support_that_moves_is_refused():
    model = gm.joint(a=dist.HalfNormal(1.0), b=lambda a: dist.Uniform(0.0, a))
    with pytest.raises(gm.SpecError, match="the bounds of b depend on other variables"):
        fixed_space("mixture(...)", "b", model.spaces["b"])


def test_renaming_outside_leaves_the_names_inside_alone(x64):
    part = gm.joint(a=gm.input(gm.Real()), x=lambda a: dist.Normal(a, 1.0))
    model = gm.mixture([0.5, 0.5], part, part).rename(x="y", a="b")
    factor = model.factors[0]
    assert (factor.children, factor.parents) == (("y",), ("b",))
    assert factor.parts[0].free == ("x",)
    np.testing.assert_allclose(
        gm.compile(model.condition(b=1.0)).log_density({"y": 1.0}), dist.Normal(0.0, 1.0).log_prob(0.0)
    )


def test_several_children_have_no_pointwise_terms_and_one_child_is_one_observation():
    pair = gm.joint(x=dist.Normal(0.0, 1.0).expand([3]), y=dist.Normal(0.0, 1.0))
    factor = gm.mixture([1.0], pair).factors[0]
    assert factor.pointwise({"x": jnp.zeros(3), "y": jnp.zeros(())}) == {}
    single = gm.mixture([1.0], gm.joint(x=dist.Normal(0.0, 1.0).expand([3]))).factors[0]
    assert single.pointwise({"x": jnp.zeros(3)})["x"].shape == ()
