import jax
import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.graph.factors.declared import Declared


class Pair(Declared):
    """p(a, b | c) up to a constant: -a c - b^2 on a > 0 and all b."""

    @property
    def layout(self):
        return (("a", gm.Positive(2)), ("b", gm.Real()))

    @property
    def parents(self):
        return ("c",)

    def log_density(self, values):
        return -jnp.sum(values["a"]) * values["c"] - values["b"] ** 2

    def draw(self, key, values, shape=()):
        raise NotImplementedError

    def rename(self, names):
        raise NotImplementedError


def test_free_children_are_moved_by_their_spaces_and_each_jacobian_enters_once(x64):
    free, known = {"a": jnp.array([0.3, -0.2]), "b": jnp.array(0.5)}, {"c": 2.0}
    value, total = Pair().decode(known, free)
    a = np.exp([0.3, -0.2])
    np.testing.assert_allclose(value["a"], a, rtol=1e-12)
    np.testing.assert_allclose(total, -2.0 * a.sum() - 0.25 + (0.3 - 0.2), rtol=1e-12)
    back = Pair().encode({**known, **value}, ("a", "b"))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-12), back, free)


def test_children_that_are_known_stay_where_they_are(x64):
    value, total = Pair().decode({"c": 2.0, "a": jnp.array([1.0, 3.0])}, {"b": jnp.array(0.5)})
    assert (list(value), float(total)) == (["b"], -8.25)
    value, total = Pair().decode({"c": 2.0, "a": jnp.array([1.0, 3.0]), "b": 1.0}, {})
    assert (value, float(total)) == ({}, -9.0)
    assert list(Pair().encode({"a": jnp.ones(2), "b": 1.0}, ("b",))) == ["b"]
    assert Pair().children == ("a", "b")
