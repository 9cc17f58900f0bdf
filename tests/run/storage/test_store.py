import errno
import time
import warnings

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import gmdsl as gm
from gmdsl.run.storage import checkpoint, store


def model():
    return gm.joint(
        tau=dist.HalfNormal(2.0),
        theta=lambda tau: dist.Normal(0.0, tau).expand([3]),
        total=lambda theta: jnp.sum(theta),
        y=lambda theta: dist.Normal(theta, 1.0),
        dims={"theta": ["school"], "y": ["school"]},
        coords={"school": ["a", "b", "c"]},
    ).condition(y=[1.0, -2.0, 0.5])


def run(path=None, **changes):
    settings = {"chains": 2, "draws": 130, "warmup": 120, "seed": 3, "progress": False, **changes}
    return gm.sample(model(), gm.NUTS(), store=path, **settings)


def equal(first, second):
    """All draws and stats to the bit, and the same names and labels."""
    assert set(first.children) == set(second.children)
    for name, node in first.children.items():
        a, b = node.to_dataset(), second[name].to_dataset()
        assert set(a.variables) == set(b.variables), name
        for variable in a.variables:
            assert a[variable].dims == b[variable].dims
            assert a[variable].dtype.kind == b[variable].dtype.kind
            np.testing.assert_array_equal(a[variable].values, b[variable].values, err_msg=f"{name}/{variable}")


def test_a_stored_run_equals_the_one_in_memory(tmp_path):
    kept = run(tmp_path / "run.zarr", checkpoint_every=40)
    equal(kept, run())
    assert kept.attrs["sampler"] == "NUTS"
    assert kept["posterior"].attrs["draws_asked"] == 130
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = xarray.open_datatree(tmp_path / "run.zarr", engine="zarr", consolidated=False)
    np.testing.assert_array_equal(again["posterior"]["theta"].values, kept["posterior"]["theta"].values)
    assert gm.check(kept).status in ("ok", "suspect")


def test_draws_are_read_from_the_disk_when_used(tmp_path):
    kept = run(tmp_path / "run.zarr")
    assert not isinstance(kept["posterior"]["theta"].variable._data, np.ndarray)


def test_commits_come_as_often_as_asked_and_draws_come_first(tmp_path, monkeypatch):
    seen = []
    write = checkpoint.write

    def spied(folder, state):
        root = xarray.open_dataset(folder.parent, group="posterior", engine="zarr", consolidated=False)
        seen.append((state.done, int(np.isfinite(root["tau"].values[0]).sum())))
        write(folder, state)

    monkeypatch.setattr(store.checkpoint, "write", spied)
    monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(tmp_path / "run.zarr", checkpoint_every=60)
    assert seen == [(0, 0), (60, 0), (120, 0), (180, 60), (240, 120), (250, 130), (250, 130)]


@pytest.mark.parametrize(("patience", "least", "most"), [(0, 24, 24), (1e9, 1, 1)])
def test_commits_that_take_long_come_seldom(tmp_path, monkeypatch, patience, least, most):
    """The next is due after so many times the duration of the last."""
    seen, write = [], checkpoint.write

    def slow(folder, state):
        time.sleep(0.02)
        seen.append(state.done)
        write(folder, state)

    monkeypatch.setattr(store.checkpoint, "write", slow)
    monkeypatch.setattr(store, "SECONDS", 0.0)
    monkeypatch.setattr(store, "PATIENCE", patience)
    monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 10)
    run(tmp_path / "run.zarr")
    between = [done for done in seen if 0 < done < 250]
    assert least <= len(between) <= most


def test_a_full_disk_says_what_is_safe_and_the_rest_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 30)
    write, calls = store.checkpoint.write, []

    def full(folder, state):
        calls.append(state.done)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, state)

    monkeypatch.setattr(store.checkpoint, "write", full)
    with pytest.raises(gm.StoreError, match=r"No space left on device\)\. The first 120\s+records .* gm\.resume"):
        run(tmp_path / "run.zarr", checkpoint_every=60)
    monkeypatch.setattr(store.checkpoint, "write", write)
    equal(gm.resume(tmp_path / "run.zarr", model(), gm.NUTS(), progress=False), run())


def test_settings_are_checked():
    with pytest.raises(gm.SpecError, match="checkpoint_every=0"):
        run(checkpoint_every=0)
