import arviz as az
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.results.tree import as_tree


@pytest.fixture(scope="module")
def model():
    return gm.joint(
        m=dist.HalfNormal(1.0), v=lambda m: dist.Normal(m, 1.0).expand([2, 3]), y=lambda v: dist.Normal(v, 1.0)
    )


@pytest.fixture(scope="module")
def tree(model):
    return gm.sample(model.condition(y=np.zeros((2, 3))), gm.NUTS(), draws=20, warmup=20, progress=False)


def test_arviz_reads_the_tree(tree):
    summary = az.summary(tree)
    assert set(summary.index) == {"m", *(f"v[{i}, {j}]" for i in range(2) for j in range(3))}
    assert tree["posterior"]["v"].dims == ("chain", "draw", "v_dim_0", "v_dim_1")
    assert tree["posterior"]["v"].shape == (4, 20, 2, 3)
    means = tree["posterior"].to_dataset().mean(("chain", "draw"))
    found = [float(summary.loc[name, "mean"]) for name in ("m", "v[1, 2]")]
    np.testing.assert_allclose(found, [means["m"], means["v"][1, 2]], atol=0.06)  # a summary is rounded
    _, found = az.diagnose(tree, return_diagnostics=True)
    rhat = az.rhat(tree)
    np.testing.assert_allclose(found["rhat"]["rhat_values"]["v"], rhat["v"], rtol=1e-9)


def test_the_tree_survives_netcdf_and_zarr(tree, tmp_path):
    import xarray

    from gmdsl.demo import save

    save(tree, tmp_path / "run.zarr")
    back = xarray.open_datatree(tmp_path / "run.zarr", engine="zarr", consolidated=False)
    np.testing.assert_array_equal(back["posterior"]["v"].values, tree["posterior"]["v"].values)
    assert back["posterior"].attrs["seed"] == 0


def test_editing_a_tree_does_not_touch_the_model():
    model = gm.joint(m=dist.Normal(0, 1), y=lambda m: dist.Normal(m, 1)).condition(y=1.0)
    tree = gm.sample(model, gm.NUTS(), chains=1, draws=2, warmup=2, progress=False)
    tree["observed_data"]["y"].values[...] = 100.0
    assert float(model.observed["y"]) == 1.0


def test_tables_of_arviz_label_a_matrix_that_shares_an_axis_with_a_vector():
    """Its first column is the mean of each element, whose labels are known here."""
    vector, matrix = np.arange(3.0), 10.0 * np.arange(6.0).reshape(2, 3)
    model = gm.joint(
        a=dist.Normal(vector, 0.01),
        b=dist.Normal(matrix, 0.01),
        dims={"a": ["k"], "b": ["row", "k"]},
        coords={"k": ["x", "y", "z"], "row": ["r0", "r1"]},
    )
    draws = {"a": np.broadcast_to(vector, (2, 50, 3)), "b": np.broadcast_to(matrix, (2, 50, 2, 3))}
    noise = np.random.default_rng(0)
    tree = as_tree(model, {"posterior": {n: v + 0.01 * noise.normal(size=v.shape) for n, v in draws.items()}}, {})
    means = az.summary(tree, kind="stats")["mean"]
    for i, row in enumerate(("r0", "r1")):
        for j, k in enumerate("xyz"):
            np.testing.assert_allclose(means[f"b[{row}, {k}]"], matrix[i, j], atol=0.01)
            np.testing.assert_allclose(means[f"a[{k}]"], vector[j], atol=0.01)
