import jax
import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.graph.factors.histogram import Grid, HistogramFactor, grids_of, histogram_in
from gmdsl.spaces.discrete import Categorical
from gmdsl.spaces.elementwise import Interval

EDGES = np.array([0.0, 1.0, 3.0, 4.0])
COUNTS = np.array([[1.0, 0.0, 3.0], [0.0, 0.0, 0.0]])  # given k = 1 nothing was seen


def factor():
    return HistogramFactor("x", ("k",), Interval(0.0, 4.0), (Grid(None, 2), Grid(EDGES, 3)), COUNTS)


def test_a_value_falls_into_its_cell_and_the_last_edge_into_the_last():
    grid = Grid(EDGES, 3)
    cells = [int(grid.cell(v)[0]) for v in (0.0, 0.5, 1.0, 2.9, 3.5, 4.0)]
    assert cells == [0, 0, 1, 1, 2, 2]
    assert [bool(grid.cell(v)[1]) for v in (-0.1, 4.0, 4.1)] == [False, True, False]
    assert [bool(Grid(None, 2).cell(v)[1]) for v in (-1, 1, 2)] == [False, True, False]
    np.testing.assert_allclose(grid.points(jnp.array([0.5]))[0], [0.5, 2.0, 3.5])


def test_the_density_is_the_share_of_the_row_over_the_width():
    def density(k, x):
        return float(jnp.exp(factor().log_density({"k": k, "x": x})))

    np.testing.assert_allclose([density(0, 0.5), density(0, 2.0), density(0, 3.5)], [0.25, 0.0, 0.75], rtol=1e-6)
    assert density(1, 0.5) == 0.0  # no data there: nothing is known
    assert density(0, 4.5) == 0.0


def test_gradients_stay_finite_where_there_is_no_mass():
    slope = jax.grad(lambda x: factor().log_density({"k": 0, "x": x}))(2.0)
    assert slope == 0.0


def test_draws_follow_the_counts():
    draws = np.asarray(factor().draw(jax.random.key(0), {"k": 0}, (10_000,))["x"])
    low = (draws < 1.0).mean()
    assert abs(low - 0.25) < 4.5 * np.sqrt(0.25 * 0.75 / 10_000)
    assert not ((draws > 1.0) & (draws < 3.0)).any()
    assert abs(draws[draws < 1.0].mean() - 0.5) < 4.5 * np.sqrt(1 / 12 / (10_000 * low))


def test_the_cells_of_a_variable_are_found_through_powers_and_names():
    model = (gm.histogram([0.1, 0.9], bins=4) ** 2.0).rename(x="y")
    assert {name: grid.cells for name, grid in grids_of(model).items()} == {"y": 4}
    assert histogram_in(model.factors[0]).child == "y"
    assert factor().rename({"k": "j", "x": "z"}).name == "p(z | j)"
    assert factor().space == Interval(0.0, 4.0) != Categorical(2)
