import arviz as az
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm


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
    assert len(summary) == 1 + 6
    errors, _ = az.diagnose(tree, return_diagnostics=True)
    assert isinstance(errors, bool)


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
