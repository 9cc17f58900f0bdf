import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmdsl.graph.rows import NamedRows, cut

NAMES = tuple(f"x{i}" for i in range(6))


def filled():
    have = NamedRows({"a": jnp.array(7.0)})
    have.add(NAMES, jnp.arange(6.0) * 10)
    return have


def test_a_name_is_a_row_of_its_array():
    have = filled()
    assert float(have["x4"]) == 40.0
    assert set(have) == {"a", *NAMES}
    assert len(have) == 7
    assert "x5" in have
    assert "y" not in have
    with pytest.raises(KeyError):
        have["y"]


@pytest.mark.parametrize("rows", [[0, 1, 2], [1, 3, 5], [5, 3, 1], [2, 2, 0], [4]])
def test_names_are_stacked_in_their_order(rows):
    found = filled().stacked([f"x{i}" for i in rows])
    assert found.tolist() == [10.0 * i for i in rows]


def test_names_of_an_array_are_stacked_without_one_operation_for_each():
    def stacked(array):
        have = NamedRows()
        have.add(tuple(f"x{i}" for i in range(500)), array)
        return have.stacked([f"x{i}" for i in range(1, 500)])

    assert len(jax.make_jaxpr(stacked)(jnp.zeros(500)).eqns) == 1


def test_single_values_and_rows_are_stacked_together():
    assert filled().stacked(["a", "x1", "a"]).tolist() == [7.0, 10.0, 7.0]


def test_the_later_value_of_a_name_counts():
    have = filled()
    have["x1"] = jnp.array(-1.0)
    assert have.stacked(["x0", "x1"]).tolist() == [0.0, -1.0]
    have.add(("x1", "a"), jnp.array([5.0, 6.0]))
    assert (float(have["x1"]), float(have["a"])) == (5.0, 6.0)
    assert float(NamedRows(have, {"x1": jnp.array(8.0)})["x1"]) == 8.0
    assert float(NamedRows({"x1": jnp.array(8.0)}, have)["x1"]) == 5.0


def test_rows_stay_rows_when_they_are_taken_up():
    both = NamedRows({"b": 1.0}, filled())
    assert both.stacked(NAMES) is not None
    assert len(jax.make_jaxpr(lambda a: NamedRows({}, _of(a)).stacked(NAMES))(jnp.zeros(6)).eqns) == 0


def _of(array):
    have = NamedRows()
    have.add(NAMES, array)
    return have


def test_evenly_spaced_rows_are_a_slice():
    equations = jax.make_jaxpr(lambda a: cut(a, np.array([1, 3, 5])))(jnp.zeros(6)).eqns
    assert [equation.primitive.name for equation in equations] == ["slice"]
