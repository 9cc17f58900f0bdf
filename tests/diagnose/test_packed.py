import arviz_stats
import numpy as np
import pytest
import xarray

from gmdsl.diagnose.packed import LEAST, of_each, packed


def draws(count=LEAST + 4):
    rng = np.random.default_rng(0)
    arrays = {f"x{i}": (("chain", "draw"), rng.normal(size=(4, 50)) * (i + 1)) for i in range(count)}
    arrays |= {f"v{i}": (("chain", "draw", "k"), rng.normal(size=(4, 50, 3))) for i in range(count)}
    arrays["z"] = (("chain", "draw"), rng.integers(0, 4, size=(4, 50)))
    return xarray.Dataset(arrays, coords={"chain": range(4), "draw": range(50)})


def test_variables_of_one_shape_are_one_array():
    data = draws()
    found, where = packed(data)
    assert set(found.data_vars) == {"x0...", "v0...", "z"}
    for name in data.data_vars:
        block, place = where[name]
        values = found[block].values if place is None else found[block].values[..., place]
        assert np.array_equal(values, data[name].values)


def test_few_variables_stay_what_they_are():
    data = draws(LEAST - 1)
    found, where = packed(data)
    assert found is data
    assert all(place is None for _, place in where.values())


@pytest.mark.parametrize("statistic", [arviz_stats.rhat, arviz_stats.ess])
def test_a_statistic_of_each_is_that_of_the_variable_alone(statistic):
    data = draws()
    found = of_each(statistic, data)
    assert set(found) == set(data.data_vars)
    for name in ("x0", f"x{LEAST}", "v3", "z"):
        assert np.allclose(found[name], statistic(data[[name]])[name].values, rtol=1e-12)


def test_the_worst_of_many_variables_is_named():
    import gmdsl as gm

    data = draws()
    data["x7"] = data["x7"] + 3.0 * data["chain"]
    tree = xarray.DataTree.from_dict({"posterior": data})
    report = gm.check(tree)
    assert report["R-hat"].status == "suspect"
    assert "x7" in report["R-hat"].evidence
    assert report["ArviZ"].status == "note"
