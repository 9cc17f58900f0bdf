import jax
import numpy as np
import pytest

import gmdsl as gm


def table(n=600, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.gamma(2.0, size=n)
    return {"x": x, "y": x**2 + rng.normal(size=n)}


def at_cells(model, *edges):
    """The density of a model at the middle of each cell."""
    density = gm.compile(model)
    middles = np.meshgrid(*[(e[1:] + e[:-1]) / 2 for e in edges], indexing="ij")
    points = {name: middle.ravel() for name, middle in zip(model.free, middles, strict=True)}
    return np.exp(jax.vmap(density.log_density)(points)).reshape(middles[0].shape)


def test_the_joint_density_is_count_over_n_and_area(x64):
    data = table()
    counts, ex, ey = np.histogram2d(data["x"], data["y"], bins=[9, 7])
    found = at_cells(gm.histogram(data, bins=[9, 7]), ex, ey)
    np.testing.assert_allclose(found, counts / 600 / np.diff(ex)[:, None] / np.diff(ey), rtol=1e-10)


def test_conditionals_by_counting_are_those_of_the_tutorial(x64):
    data = table()
    counts, ex, ey = np.histogram2d(data["x"], data["y"], bins=[9, 7])
    first, second = gm.histogram(data, bins=[9, 7]).factorize()
    np.testing.assert_allclose(at_cells(first, ex), counts.sum(1) / 600 / np.diff(ex), rtol=1e-10)
    given = at_cells(second.condition(x=(ex[2] + ex[3]) / 2), ey)
    np.testing.assert_allclose(given, counts[2] / counts[2].sum() / np.diff(ey), rtol=1e-10)
    assert gm.log_normalizer(second.condition(x=float(ex[2] + 1e-3))).log_z == pytest.approx(0.0, abs=1e-12)


def test_conditioning_the_joint_divides_nothing_out():
    data = table()
    counts, edges = np.histogram(data["x"], bins=9)
    found = gm.log_normalizer(gm.histogram(data, bins=[9, 7]).condition(x=1.0)).log_z
    cell = np.searchsorted(edges, 1.0) - 1
    assert found == pytest.approx(np.log(counts[cell] / 600 / (edges[1] - edges[0])), abs=1e-9)


def test_it_draws_what_it_counted():
    data = table()
    model = gm.histogram(data, bins=[9, 7])
    draws = model.sample(jax.random.key(1), 20_000)
    mean = gm.expectation(model, lambda v: v["y"]).value
    spread = np.asarray(draws["y"]).std()
    assert abs(np.asarray(draws["y"]).mean() - mean) < 4.5 * spread / np.sqrt(20_000)
    assert model.capabilities().normalized


def test_the_error_follows_the_known_rate():
    """For p(x) = 2 x on (0, 1): sum p_j (1 - p_j) / (n h) + h^2 / 3, exactly."""
    rng, rounds = np.random.default_rng(5), 400
    for n, cells in ((100, 4), (100, 16), (1600, 4), (1600, 16)):
        edges, h = np.linspace(0, 1, cells + 1), 1 / cells
        share = np.diff(edges**2)
        errors = []
        for _ in range(rounds):
            model = gm.histogram(np.sqrt(rng.uniform(size=n)), bins=edges)
            density = np.asarray(model.factors[0].counts) / n / h
            errors.append(np.sum((density - share / h) ** 2) * h + h**2 / 3)
        exact = np.sum(share * (1 - share)) / (n * h) + h**2 / 3
        z = (np.mean(errors) - exact) / (np.std(errors) / np.sqrt(rounds))
        assert abs(z) < 4.5, (n, cells, z)


def test_whole_numbers_are_cells(x64):
    model = gm.histogram({"k": [0, 2, 2, 1], "x": [0.1, 0.3, 0.2, 0.9]}, bins={"x": [0.0, 0.5, 1.0]})
    assert model.spaces["k"] == gm.Categorical(3)
    np.testing.assert_allclose(
        gm.compile(model).log_density({"k": 2, "x": 0.4}), np.log(2 / 4 * 2 / 2 / 0.5), rtol=1e-12
    )
    mixed = gm.compile(model.marginalize("k"))
    np.testing.assert_allclose(mixed.log_density({"x": 0.4}), np.log(3 / 4 / 0.5), rtol=1e-12)


def test_smoothing_fills_empty_cells(x64):
    model = gm.histogram([0.1, 0.2, 0.3], bins=[0.0, 1.0, 2.0], smoothing=0.5)
    np.testing.assert_allclose(gm.compile(model).log_density({"x": 1.5}), np.log(0.5 / 4.0), rtol=1e-12)
    empty = gm.histogram([0.1, 0.2, 0.3], bins=[0.0, 1.0, 2.0])
    assert gm.compile(empty).log_density({"x": 1.5}) == -np.inf


def test_columns_of_an_array_are_named():
    assert gm.histogram(np.zeros((4, 3))).free == ("x0", "x1", "x2")
    assert gm.histogram(np.arange(4.0)).free == ("x",)
    assert gm.histogram(np.zeros((4, 2)), names=["u", "v"]).free == ("u", "v")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"x": [1.0, 2.0], "y": [1.0]},), r"columns of one length.*x \(2,\), y \(1,\)"),
        (({"x": [1.0, np.nan]},), "1 of 2 values are NaN"),
        (({"x": [1.0, np.inf]},), "infinite"),
        (({"x": [1.0, 2.0]}, [0.0, 1.5]), r"1 of 2 values of x lie outside \[0, 1.5\]"),
        (({"x": [1.0, 2.0]}, [1.0, 0.0]), "edges must increase"),
        (({"x": [1.0, 2.0]}, 0), "at least one cell"),
        (({"x": [1.0, 2.0]}, {"z": 3}), "there is no 'z'"),
        (({"x": [-1, 2]},), "whole numbers below 0"),
        ((np.zeros((2, 2, 2)),), r"shape \(2, 2, 2\)"),
        ((np.zeros((2, 9)), 10), "more than can be counted"),
    ],
)
def test_bad_data_say_what_is_wrong(arguments, message):
    with pytest.raises(gm.SpecError, match=message):
        gm.histogram(*arguments)
