import numpy as np
import pytest

import gmdsl as gm
from gmdsl.run.parallel.placement import Share
from gmdsl.run.storage import checkpoint
from gmdsl.run.storage.layout import SHARES, STATE, all_done, checked, folder, lengthen, opened, shares
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
    after = opened(checked(tmp_path / "run.zarr"), 34, 20)
    assert after["posterior"].coords["draw"].values.tolist() == list(range(14))
    assert after["warmup_posterior"].sizes["draw"] == 20
    np.testing.assert_array_equal(after["posterior"]["tau"].values[:, :10], tau)
    assert np.isnan(after["posterior"]["tau"].values[:, 10:]).all()
    assert after["posterior"]["theta"].coords["school"].values.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(("done", "warmup", "draws"), [(7, 7, 0), (20, 20, 0), (26, 20, 6), (30, 20, 10)])
def test_draws_that_were_not_made_are_not_shown(tmp_path, done, warmup, draws):
    run(tmp_path / "run.zarr", draws=10, warmup=20)
    tree = opened(checked(tmp_path / "run.zarr"), done, 20)
    assert (tree["warmup_posterior"].sizes["draw"], tree["posterior"].sizes["draw"]) == (warmup, draws)
    assert "state" not in tree.variables
