import hashlib

import numpy as np
import pytest
import zarr

import gmdsl as gm
from gmdsl.run.storage import checkpoint, manifest
from gmdsl.run.storage.checked_store import CheckedStore
from gmdsl.run.storage.digests import add_draws, arrays_of, check_digests, read_digests
from tests.run.storage.test_store import run


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr("gmdsl.run.storage.create.CHUNK", 8)
    monkeypatch.setattr("gmdsl.run.storage.create.FILE", 1)
    run(tmp_path / "run.zarr", draws=20, warmup=12)
    return tmp_path / "run.zarr"


def read(path, done=32):
    arrays = arrays_of(CheckedStore(path, manifest.read(path / "state")))
    return arrays, read_digests(arrays, slice(0, 2), done, 12)


def test_the_state_holds_the_checksums_of_what_is_on_disk(path):
    arrays, found = read(path)
    state = checkpoint.newest(path / "state")
    assert set(state.facts["draws"]) == set(found) == set(arrays)
    assert {"posterior/tau", "warmup_sample_stats/lp", "unconstrained_posterior/theta"} <= set(found)
    check_digests(arrays, found, state.facts["draws"])
    with pytest.raises(gm.StoreError, match=r"the draws in .*/c are not those that were committed"):
        check_digests(arrays, read(path, 31)[1], state.facts["draws"])


def test_one_number_or_one_chunk_that_differs_is_seen(path):
    state = checkpoint.newest(path / "state").facts["draws"]
    tau = zarr.open_group(path, mode="r+")["posterior/tau"]
    before = tau[:]
    tau[1, 13] = np.nextafter(before[1, 13], np.float32(np.inf))
    with pytest.raises(gm.StoreError, match=r"posterior/tau/c are not"):
        check_digests(*read(path), state)
    tau[:] = before
    check_digests(*read(path), state)
    first, second = path / "posterior/tau/c/0/0", path / "posterior/tau/c/0/1"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two), second.write_bytes(one)
    with pytest.raises(gm.StoreError, match=r"posterior/tau/c are not"):
        check_digests(*read(path), state)
    first.unlink()
    with pytest.raises(gm.StoreError, match=r"posterior/tau/c are not"):
        check_digests(*read(path), state)


def test_a_chunk_of_another_array_that_cannot_be_read_is_an_error_that_names_the_draws(path):
    (path / "posterior/tau/c/0/0").write_bytes((path / "posterior/theta/c/0/0/0").read_bytes())
    with pytest.raises(gm.StoreError, match=r"draws 0 to 7 of posterior/tau cannot be read .* Put back a copy"):
        read(path)


def test_every_nan_counts_as_one_and_empty_parts_as_nothing():
    odd = np.array([[np.nan, 1.0]], np.float32)
    odd.view(np.uint32)[0, 0] ^= 5
    one, other = hashlib.sha256(), hashlib.sha256()
    add_draws(one, odd)
    add_draws(other, np.array([[np.nan, 1.0]], np.float32))
    add_draws(other, np.zeros((2, 0, 3)))
    assert one.digest() == other.digest()
