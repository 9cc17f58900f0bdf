import errno
import itertools
import time
import warnings

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import xarray

import gmdsl as gm
from gmdsl.run.storage import checked_store, checkpoint, durable, store


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


def test_a_disk_that_fills_while_the_store_is_made_leaves_nothing_and_says_so(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for place in ("gmdsl.run.storage.create.flush", "gmdsl.run.storage.checkpoint.write_file"):
        with monkeypatch.context() as patched:
            patched.setattr(place, full)
            with pytest.raises(
                gm.StoreError, match=r"cannot be made \(No space left .*There is nothing.* gm\.sample"
            ) as e:
                run(tmp_path / "run.zarr", draws=10, warmup=10)
        assert "gm.resume" not in str(e.value)
        assert list(tmp_path.iterdir()) == []


def test_draws_are_on_the_disk_before_the_state_that_vouches_for_them(tmp_path, monkeypatch):
    monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 30)
    seen, sync = [], durable._sync

    def spied(path, flags):
        seen.append(path.parent.name if path.name.endswith(".partial") else path.name)
        sync(path, flags)

    write = checkpoint.write
    monkeypatch.setattr(durable, "_sync", spied)
    monkeypatch.setattr(checkpoint, "write", lambda *given: (seen.append("commit"), write(*given)))
    run(tmp_path / "run.zarr", draws=60, warmup=0, checkpoint_every=30)
    commits = [number for number, name in enumerate(seen) if name == "commit"]
    assert len(commits) >= 3
    for first, last in itertools.pairwise(commits[:3]):
        assert seen[first:last].count("state") >= 10  # files of draws, which wait in this folder


def test_ctrl_c_in_the_middle_of_a_commit_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 30)
    moved = checked_store.move
    for place in ("before", "after"):
        calls = []

        def interrupted(places, calls=calls, place=place):
            calls.append(places)
            if len(calls) == 4 and place == "before":
                raise KeyboardInterrupt
            moved(places)
            if len(calls) == 4:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(checked_store, "move", interrupted)
            part = run(tmp_path / f"{place}.zarr", checkpoint_every=30)
        assert part.attrs["interrupted"] == 1
        equal(gm.resume(tmp_path / f"{place}.zarr", model(), gm.NUTS(), progress=False), run())


def test_settings_are_checked():
    with pytest.raises(gm.SpecError, match="checkpoint_every=0"):
        run(checkpoint_every=0)
