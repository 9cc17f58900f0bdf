import json

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import gmdsl as gm
from gmdsl.run.parallel.placement import Share
from gmdsl.run.storage.manifest import (
    describe,
    digest_metadata,
    identify,
    length,
    list_files,
    read,
    resize,
    write,
)


@pytest.fixture
def files():
    """A small store in memory."""
    held = {}
    root = zarr.open_group(MemoryStore(held), mode="w")
    for group in ("posterior", "warmup_posterior"):
        made = root.create_group(group, attributes={"seed": 1})
        made.create_array("mu", shape=(2, 5), dtype="f4", dimension_names=("chain", "draw"))
        made.create_array("draw", data=np.arange(5), dimension_names=("draw",))
    root.create_group("observed_data").create_array("y", data=np.ones(3), dimension_names=("obs",))
    return {name: content.to_bytes() for name, content in held.items()}


def test_it_lists_what_there_must_be_and_leaves_out_what_changes(files):
    found = list_files("r", files)
    assert found.draws == ("posterior/mu", "warmup_posterior/mu")
    assert set(found.draw_numbers) == {"posterior/draw", "warmup_posterior/draw"}
    assert set(found.chunks) == {"warmup_posterior/draw/c/0", "observed_data/y/c/0"}
    assert set(found.metadata) == {name for name in files if name.endswith("zarr.json")}
    assert {name: sorted(arrays) for name, arrays in found.groups.items()} == {
        "posterior": ["draw", "mu"], "warmup_posterior": ["draw", "mu"], "observed_data": ["y"],
    }  # fmt: skip
    assert identify(found, Share(1, 3)) == {"run": "r", "share": [1, 3]}


def test_only_attributes_of_groups_and_the_length_of_draws_may_change(files):
    def same(key, changed):
        return digest_metadata(key, changed) == digest_metadata(key, files[key])

    key = "posterior/mu/zarr.json"
    longer = resize(files[key], 9)
    assert (length(files[key]), length(longer), same(key, longer)) == (5, 9, True)
    warm = "warmup_posterior/mu/zarr.json"
    assert not same(warm, resize(files[warm], 9))
    assert length(files["observed_data/y/zarr.json"]) is None
    assert same("posterior/zarr.json", describe(files["posterior/zarr.json"], {"seed": 2}))
    for name, value in (("fill_value", 1.0), ("data_type", "float64"), ("attributes", {"_FillValue": 0}), ("more", 1)):
        assert not same(key, json.dumps({**json.loads(files[key]), name: value}).encode())
    for content in (b"", b"{", b"[]", b"[" * 100_000):
        with pytest.raises((ValueError, RecursionError)):
            digest_metadata(key, content)


def test_it_comes_back_and_a_damaged_or_missing_one_is_an_error_that_names_it(files, tmp_path):
    write(tmp_path, list_files("r", files))
    assert read(tmp_path) == list_files("r", files)
    path = tmp_path / "manifest"
    content = path.read_bytes()
    for damaged in (content[:-1], content[:200] + b"x" + content[201:], b"", b"gmdsl manifest 0\n" + content[17:]):
        path.write_bytes(damaged)
        with pytest.raises(gm.StoreError, match=r"manifest, is damaged .* Put back a copy"):
            read(tmp_path)
    path.unlink()
    with pytest.raises(gm.StoreError, match=r"manifest, cannot be read \(No such file .* earlier versions have none"):
        read(tmp_path)
