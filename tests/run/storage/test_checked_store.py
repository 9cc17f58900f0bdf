import asyncio

import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

import gmdsl as gm
from gmdsl.run.storage import manifest
from gmdsl.run.storage.checked_store import CheckedStore
from tests.run.storage.test_store import model, run


@pytest.fixture
def path(tmp_path):
    run(tmp_path / "run.zarr", draws=20, warmup=12)
    return tmp_path / "run.zarr"


def opened(path, **settings):
    return CheckedStore(path, manifest.read(path / "state"), **settings)


KEYS = ["zarr.json", "posterior/zarr.json", "posterior/tau/zarr.json", "observed_data/y/c/0", "posterior/school/c/0"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("damage", [lambda c: None, lambda c: c[:-5], lambda c: c.replace(b"o", b"p") + b"\0"])
def test_a_file_that_never_changes_is_compared_with_the_manifest(path, key, damage):
    opened(path).check_all()
    content = damage((path / key).read_bytes())
    (path / key).unlink() if content is None else (path / key).write_bytes(content)
    with pytest.raises(gm.StoreError, match=rf"{key} is (missing|damaged) .*Put back a copy|{key} is missing"):
        opened(path).check_all()


def test_a_chunk_of_draws_carries_its_checksum_and_one_that_was_there_stays(path):
    store = opened(path)
    tau, file = zarr.open_group(store, mode="r")["posterior/tau"], path / "posterior/tau/c/0/0"
    before, content = tau[:], file.read_bytes()
    file.write_bytes(content[:30] + bytes([content[30] ^ 4]) + content[31:])
    with pytest.raises(gm.StoreError, match=r"posterior/tau/c/0/0 is damaged \(its checksum is wrong\)"):
        tau[:]
    file.write_bytes(content[:3])
    with pytest.raises(gm.StoreError, match="is damaged"):
        tau[:]
    file.unlink()
    with pytest.raises(gm.StoreError, match=r"posterior/tau/c/0/0 is missing"):
        tau[:]
    file.mkdir()
    with pytest.raises(gm.StoreError, match=r"posterior/tau/c/0/0 is missing"):
        tau[:]
    file.rmdir()
    file.write_bytes(content)
    np.testing.assert_array_equal(tau[:], before)


def test_a_tree_that_was_opened_never_shows_other_numbers(path):
    tree = gm.resume(path, model(), gm.NUTS(), progress=False)
    (path / "posterior/tau/c/0/0").unlink()
    with pytest.raises(gm.StoreError, match=r"posterior/tau/c/0/0 is missing"):
        tree["posterior"]["tau"].values  # noqa: B018


def test_what_is_written_waits_under_another_name_and_can_be_read(path):
    store = opened(path, scratch=path / "state")
    tau, file = zarr.open_group(store, mode="r+")["posterior/tau"], path / "posterior/tau/c/0/0"
    before = file.read_bytes()
    tau[:, 3] = 7.0
    assert file.read_bytes() == before
    assert (tau[:, 3] == 7.0).all()
    store.flush()
    assert (zarr.open_group(path, mode="r")["posterior/tau"][:, 3] == 7.0).all()
    assert not list((path / "state").glob("*.partial"))
    tau[:, 3] = 8.0
    del tau
    asyncio.run(store.delete("posterior/tau/c/0/0"))
    assert not file.exists()
    assert not store.waiting
    with pytest.raises(ValueError, match="read-only"):
        opened(path).with_read_only(False)._check_writable()


def test_strange_folders_are_not_seen_and_missing_ones_are(path):
    (path / "posterior" / "strange").mkdir()
    (path / "posterior" / "strange" / "zarr.json").write_text("{")
    names = set(dict(zarr.open_group(opened(path), mode="r")["posterior"].arrays()))
    assert names == {"tau", "theta", "total", "chain", "draw", "school"}
    (path / "posterior" / "tau").rename(path / "tau")
    with pytest.raises(gm.StoreError, match=r"posterior/tau/zarr\.json is missing"):
        dict(zarr.open_group(opened(path), mode="r")["posterior"].arrays())


def test_arrays_of_another_length_are_refused_where_the_length_is_known(path):
    opened(path, draws=20).check_all()
    with pytest.raises(gm.StoreError, match=r"has room for 20 draws, the run has 30"):
        opened(path, draws=30).check_all()


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (RangeByteRequest(2, 9), slice(2, 9)),
        (OffsetByteRequest(5), slice(5, None)),
        (SuffixByteRequest(4), slice(-4, None)),
    ],
)
def test_parts_of_files_are_parts_of_what_was_checked(path, asked, part):
    content = (path / "posterior/tau/c/0/0").read_bytes()
    found = opened(path).get_sync("posterior/tau/c/0/0", byte_range=asked)
    assert found.to_bytes() == content[part]
    many = asyncio.run(opened(path).get_partial_values(default_buffer_prototype(), [("posterior/tau/c/0/0", asked)]))
    assert many[0].to_bytes() == content[part]


def test_the_tree_of_a_run_that_was_just_made_is_checked_as_it_is_read(tmp_path):
    path = tmp_path / "run.zarr"
    tree = run(path, draws=20, warmup=12)
    (path / "posterior/tau/c/0/0").unlink()
    with pytest.raises(gm.StoreError, match=r"posterior/tau/c/0/0 is missing"):
        tree["posterior"]["tau"].values  # noqa: B018
    file = path / "posterior/theta/c/0/0/0"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(gm.StoreError, match=r"posterior/theta/c/0/0/0 is damaged"):
        tree["posterior"]["theta"].values  # noqa: B018
