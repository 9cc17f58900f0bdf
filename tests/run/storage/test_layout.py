import errno
import pathlib

import numpy as np
import pytest

import gmdsl as gm
from gmdsl.run.parallel.placement import Share
from gmdsl.run.storage import checkpoint, manifest
from gmdsl.run.storage.layout import SHARES, STATE, all_done, checked, folder, lengthen, local_path, opened, shares
from tests.run.storage.test_store import run


def test_a_run_is_never_written_over(tmp_path):
    run(tmp_path / "run.zarr", draws=10, warmup=10)
    with pytest.raises(gm.SpecError, match=r"there is a run already\. Continue it by gm\.resume"):
        run(tmp_path / "run.zarr")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(gm.SpecError, match="something else"):
        run(tmp_path / "notes.txt")
    with pytest.raises(gm.SpecError, match="something else"):
        run(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_only_what_every_share_has_stored_is_done(tmp_path):
    assert (shares(tmp_path), all_done(tmp_path, 1)) == (0, 0)
    for index, done in enumerate((50, 30, 70)):
        place = folder(tmp_path, Share(index, 3))
        place.mkdir(parents=True)
        for commit in (done - 10, done):
            checkpoint.write(place, checkpoint.Commit(commit, {}, ()))
    checkpoint.write_note(tmp_path / STATE / SHARES, 3)
    assert (shares(tmp_path), all_done(tmp_path, 3)) == (3, 30)
    assert len({folder(tmp_path, Share(index, 3)) for index in range(3)}) == 3


def test_room_for_more_draws_is_empty_and_what_was_there_stays(tmp_path):
    before = run(tmp_path / "run.zarr", draws=10, warmup=20)
    tau = before["posterior"]["tau"].values
    lengthen(tmp_path / "run.zarr", 14)
    after = opened(tmp_path / "run.zarr", 34, 20)
    assert after["posterior"].coords["draw"].values.tolist() == list(range(14))
    assert after["warmup_posterior"].sizes["draw"] == 20
    np.testing.assert_array_equal(after["posterior"]["tau"].values[:, :10], tau)
    assert np.isnan(after["posterior"]["tau"].values[:, 10:]).all()
    assert after["posterior"]["theta"].coords["school"].values.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(("done", "warmup", "draws"), [(7, 7, 0), (20, 20, 0), (26, 20, 6), (30, 20, 10)])
def test_draws_that_were_not_made_are_not_shown(tmp_path, done, warmup, draws):
    run(tmp_path / "run.zarr", draws=10, warmup=20)
    tree = opened(tmp_path / "run.zarr", done, 20)
    assert (tree["warmup_posterior"].sizes["draw"], tree["posterior"].sizes["draw"]) == (warmup, draws)
    assert "state" not in tree.variables


@pytest.mark.parametrize("draws", [14, 6, 10])
def test_lengths_that_differ_are_made_one_and_the_numbers_of_draws_are_right(tmp_path, draws):
    path = tmp_path / "run.zarr"
    tau = run(path, draws=10, warmup=20)["posterior"]["tau"].values
    for name, length in (("posterior/tau", 12), ("posterior/draw", 3), ("sample_stats/lp", 0)):
        file = path / name / "zarr.json"
        file.write_bytes(manifest.resize(file.read_bytes(), length))
    (path / "sample_stats" / "draw" / "c" / "0").write_bytes(b"damaged")
    with pytest.raises(gm.StoreError, match="it was stopped while it was lengthened"):
        checked(path, 10)
    lengthen(path, draws)
    found = opened(path, 20 + draws, 20)
    for group in ("posterior", "sample_stats", "unconstrained_posterior"):
        assert found[group].coords["draw"].values.tolist() == list(range(draws))
    np.testing.assert_array_equal(found["posterior"]["tau"].values[:, :10], tau[:, :draws])


def test_a_disk_that_is_full_when_a_run_is_lengthened_is_an_error_that_says_what_is_safe(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    run(tmp_path / "run.zarr", draws=10, warmup=20)
    monkeypatch.setattr("gmdsl.run.storage.layout.write_file", full)
    with pytest.raises(gm.StoreError, match=r"No space left .* that were committed are safe"):
        lengthen(tmp_path / "run.zarr", 14)


@pytest.mark.parametrize("store", ["s3://bucket/run.zarr", "gs:/bucket", "https://host/x", pathlib.Path("s3://b/r")])
def test_urls_are_refused_and_paths_are_not(store):
    with pytest.raises(gm.SpecError, match="this is a URL"):
        local_path("sample", store)
    for path in ("run.zarr", "C:/run.zarr", "./a:b/run.zarr", pathlib.Path("/tmp/run.zarr")):
        assert local_path("sample", path) == pathlib.Path(path)
