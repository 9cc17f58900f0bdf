import jax
import jax.numpy as jnp
import numpy as np

from gmdsl.spaces.layout import flatten, size, unflatten
from gmdsl.spaces.space import Real

LAYOUT = (("b", Real()), ("a", Real(2, 3)), ("c", Real(2)))


def test_the_order_is_that_of_the_layout_and_arrays_go_row_by_row():
    values = {"a": np.arange(6.0).reshape(2, 3), "b": 10.0, "c": [20.0, 21.0]}
    assert flatten(LAYOUT, values).tolist() == [10.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 20.0, 21.0]
    assert size(LAYOUT) == 9


def test_each_way_undoes_the_other_with_any_leading_axes():
    for lead in ((), (4,), (2, 3)):
        x = jax.random.normal(jax.random.key(0), (*lead, 9))
        named = unflatten(LAYOUT, x)
        assert {n: v.shape for n, v in named.items()} == {"b": lead, "a": (*lead, 2, 3), "c": (*lead, 2)}
        np.testing.assert_array_equal(flatten(LAYOUT, named), x)


def test_whole_numbers_become_real():
    assert jnp.issubdtype(flatten((("a", Real()),), {"a": 3}).dtype, jnp.floating)
