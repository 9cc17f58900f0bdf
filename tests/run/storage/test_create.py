import numpy as np
import pytest
import zarr

import gmdsl as gm
from gmdsl.run.chains.setup import RunPlan, prepared
from gmdsl.run.chains.starts import started
from gmdsl.run.storage import create
from gmdsl.run.storage.create import create_arrays
from tests.run.storage.test_store import model


def created(path, shares, **changes):
    settings = {"chains": 4, "draws": 3000, "warmup": 20, **changes}
    plan = RunPlan(settings["chains"], settings["draws"], settings["warmup"], 0, 1, "map")
    setup = prepared(gm.compile(model()), gm.NUTS(), plan)
    create_arrays(path, setup, started(setup, None), shares)
    return zarr.open_group(path, mode="r")


def test_draws_are_nan_and_flags_false_until_they_are_made(tmp_path):
    root = created(tmp_path, 1)
    assert root["posterior/theta"].shape == (4, 3000, 3)
    assert root["warmup_posterior/total"].shape == (4, 20)
    assert np.isnan(root["posterior/theta"][:, :50]).all()
    assert not root["sample_stats/diverging"][:].any()
    assert root["sample_stats/n_steps"].dtype.kind == "i"
    np.testing.assert_array_equal(root["observed_data/y"][:], np.array([1.0, -2.0, 0.5], root["observed_data/y"].dtype))
    assert root["posterior/theta"].metadata.dimension_names == ("chain", "draw", "school")
    assert "warmup_posterior" not in created(tmp_path / "cold", 1, warmup=0)


@pytest.mark.parametrize(("shares", "together"), [(1, 4), (2, 2), (4, 1), (3, 1)])
def test_no_file_holds_chains_of_two_shares(tmp_path, shares, together):
    root = created(tmp_path, shares)
    assert root["posterior/tau"].chunks[0] == root["posterior/theta"].chunks[0] == together


def test_files_hold_no_more_numbers_than_may_be_held(tmp_path, monkeypatch):
    for held, draws in ((2**22, 3000), (4 * 3 * 100, 100), (1, 1)):
        monkeypatch.setattr(create, "HELD", held)
        assert created(tmp_path / str(held), 1)["posterior/theta"].chunks == (4, draws, 3)
