import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


def three(n=500, seed=2):
    rng = np.random.default_rng(seed)
    x = rng.exponential(size=n)
    return np.stack([x, x + rng.normal(size=n), rng.normal(size=n) * x], axis=1)


def test_a_variable_in_the_middle_is_summed_over_its_cells(x64):
    data = three()
    counts, edges = np.histogramdd(data, bins=[4, 5, 6])
    density = gm.compile(gm.histogram(data, bins=[4, 5, 6]).marginalize("x1"))
    assert "  x1: summed over 5 cells" in density.explain().splitlines()
    for i, k in ((0, 2), (1, 3), (3, 5)):
        at = {"x0": edges[0][i] + 1e-3, "x2": edges[2][k] + 1e-3}
        area = np.diff(edges[0])[i] * np.diff(edges[2])[k]
        with np.errstate(divide="ignore"):
            exact = np.log(counts.sum(1)[i, k] / 500 / area)
        np.testing.assert_allclose(density.log_density(at), exact, rtol=1e-10)


def test_several_at_once_and_in_turn_agree(x64):
    model = gm.histogram(three(), bins=[4, 5, 6])
    at = {"x2": 0.3}
    once = gm.compile(model.marginalize("x0", "x1")).log_density(at)
    turn = gm.compile(model.marginalize("x0").marginalize("x1")).log_density(at)
    column = three()[:, 2]
    counts, edges = np.histogram(column, bins=6)
    cell = np.searchsorted(edges, 0.3) - 1
    np.testing.assert_allclose([once, turn], np.log(counts[cell] / 500 / (edges[1] - edges[0])), rtol=1e-10)


def test_the_last_variable_is_dropped_without_a_sum():
    model = gm.histogram(three(), bins=4).marginalize("x2")
    assert "marginalised" not in gm.compile(model).explain()


def test_a_factor_that_moves_within_cells_is_refused():
    model = gm.histogram(three()[:, :1], bins=4) * gm.joint(
        x=gm.input(gm.Real()), y=lambda x: dist.StudentT(3.0, x, 1.0)
    )
    with pytest.raises(gm.SpecError, match=r"counting: p\(y \| x\) is not constant within cells"):
        model.marginalize("x")


def test_a_power_of_a_counted_density_is_still_constant_in_cells(x64):
    model = gm.histogram(three()[:, :2], bins=[4, 5]) ** 2.0
    counts, ex, ey = np.histogram2d(*three()[:, :2].T, bins=[4, 5])
    square = (counts / 500 / np.diff(ex)[:, None] / np.diff(ey)) ** 2
    found = gm.compile(model.marginalize("x0")).log_density({"x1": ey[2] + 1e-3})
    np.testing.assert_allclose(found, np.log((square * np.diff(ex)[:, None]).sum(0)[2]), rtol=1e-10)
