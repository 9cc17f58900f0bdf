import jax
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.graph.factors.empirical import EmpiricalFactor, no_density

PAIR = EmpiricalFactor((np.array([1.0, 2.0]), np.array([[3, 4], [5, 6]])), (("a", gm.Real()), ("b", gm.Integer(2))))


def test_a_row_is_drawn_as_a_whole():
    draws = PAIR.draw(jax.random.key(0), {}, (20,))
    second = np.asarray(draws["a"]) == 2.0
    assert set(second.tolist()) == {True, False}
    np.testing.assert_array_equal(draws["b"], np.where(second[:, None], [[5, 6]], [[3, 4]]))
    with pytest.raises(gm.SpecError, match="no row is drawn given a"):
        PAIR.draw(jax.random.key(0), {"a": 1.0})


def test_names_change_and_columns_go():
    renamed = PAIR.rename({"a": "c"})
    assert (renamed.children, renamed.name, renamed.length) == (("c", "b"), "empirical p(c, b)", 2)
    np.testing.assert_array_equal(renamed.only({"b"}).values()["b"], [[3, 4], [5, 6]])
    assert renamed.only({"b"}).children == ("b",)


@pytest.mark.parametrize(
    "ask", [lambda f: f.log_density({}), lambda f: f.pointwise({}), lambda f: f.decode({}, {"a": 1.0})]
)
def test_no_density_is_given(ask):
    with pytest.raises(gm.SpecError, match=r"a, b are drawn from a data set, points without a density"):
        ask(PAIR)
    assert "x is drawn" in str(no_density("compile(...)", EmpiricalFactor((np.ones(2),), (("x", gm.Real()),))))


def test_a_data_set_in_a_mixture_has_no_density_either():
    mixed = gm.mixture([0.5, 0.5], gm.empirical(x=[1.0]), gm.empirical(x=[2.0]))
    assert set(np.asarray(mixed.sample(jax.random.key(0), 50)["x"]).tolist()) == {1.0, 2.0}
    with pytest.raises(gm.SpecError, match="points without a density"):
        gm.compile(mixed).log_density({"x": 1.0})
