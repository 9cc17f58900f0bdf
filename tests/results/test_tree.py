import gc
import json

import arviz as az
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.results import digest as results
from gmdsl.results.digest import model_digest
from gmdsl.results.points import constrained

SCHEMA = {
    "lp", "acceptance_rate", "step_size", "diverging", "nan_evaluations", "n_steps", "tree_depth",
    "reached_max_treedepth", "energy", "energy_error",
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return gm.joint(
        m=dist.HalfNormal(1.0), v=lambda m: dist.Normal(m, 1.0).expand([2, 3]), y=lambda v: dist.Normal(v, 1.0)
    )


@pytest.fixture(scope="module")
def tree(model):
    return gm.sample(model.condition(y=np.zeros((2, 3))), gm.NUTS(), draws=20, warmup=20, progress=False)


def test_nuts_fills_arvizs_schema(tree):
    assert set(tree["sample_stats"].data_vars) == SCHEMA
    assert all(v.dims == ("chain", "draw") for v in tree["sample_stats"].data_vars.values())


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


@pytest.mark.usefixtures("cpu")
def test_attributes_say_how_it_was_made(tree):
    attrs = tree["posterior"].attrs
    assert attrs["inference_library"] == "gmdsl"
    assert attrs["sampler"] == "NUTS"
    assert json.loads(attrs["sampler_settings"])["target_accept"] == 0.88
    assert attrs["chain_mode"] == "map"
    assert attrs["sampling_time"] > 0


def test_digests_tell_models_and_data_apart(model):
    first, second = model.condition(y=np.zeros((2, 3))), model.condition(y=np.ones((2, 3)))
    assert model_digest(first) == model_digest(model.condition(y=np.zeros((2, 3))))
    assert len({model_digest(m) for m in (model, first, second)}) == 3


def test_batches_give_the_same_values_as_single_points(model):
    density = gm.compile(model)
    x = np.random.default_rng(0).normal(size=(3, 700, density.dim)).astype(np.float32)  # more than one batch
    values = constrained(density, x)
    one = density.constrain(x[2, 650])
    for name in ("v", "m"):
        np.testing.assert_allclose(values[name][2, 650], one[name], rtol=1e-6)
    assert values["m"].shape == (3, 700)


def test_editing_a_tree_does_not_touch_the_model():
    model = gm.joint(m=dist.Normal(0, 1), y=lambda m: dist.Normal(m, 1)).condition(y=1.0)
    tree = gm.sample(model, gm.NUTS(), chains=1, draws=2, warmup=2, progress=False)
    tree["observed_data"]["y"].values[...] = 100.0
    assert float(model.observed["y"]) == 1.0


def test_digests_see_functions_and_numbers():
    models = [gm.joint(x=dist.Normal(0, s)) for s in (1.0, 9.0)]
    models += [gm.energy(f, x=gm.Real()) for f in (lambda x: x**2, lambda x: 9 * x**4)]
    assert len({model_digest(m) for m in models}) == 4


def test_the_digest_of_a_model_is_kept_as_long_as_the_model():
    """Made anew for another model, also one at the same place in memory."""

    def made(scale):
        return gm.energy(lambda x, s: 0.5 * x @ x / s, x=gm.Real(2), s=gm.data(scale))

    seen = [results.model_digest(made(float(scale))) for scale in range(1, 30)]
    assert len(set(seen)) == len(seen)
    gc.collect()
    held = made(5.0)
    before = len(results._DIGESTS)
    assert results.model_digest(held) == results.model_digest(held) == seen[4]
    assert len(results._DIGESTS) == before + 1
    del held
    gc.collect()
    assert len(results._DIGESTS) == before
