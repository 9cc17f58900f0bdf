import dataclasses
import warnings

import numpy as np
import numpyro.distributions as dist
import pytest
import zarr

import gmdsl as gm
from gmdsl.run.progress import Progress
from gmdsl.run.storage.checkpoint import files, newest, write
from gmdsl.run.storage.durable import write_file
from tests.run.storage.test_store import equal, model, run


def stopped(monkeypatch, path, blocks, sample=run, **settings):
    """A run that is interrupted, as by Ctrl-C, after so many blocks of 30 records."""
    advance, calls = Progress.advance, [0]

    def interrupted(bar, records, stats):
        calls[0] += 1  # the first call is that of the start
        advance(bar, records, stats)
        if calls[0] == blocks + 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("gmdsl.run.chains.setup.CAPACITY", 30)
        patched.setattr(
            "gmdsl.run.chains.block_length.SECONDS", 1e9
        )  # so that blocks are full, however slow the machine
        patched.setattr(Progress, "advance", interrupted)
        return sample(path, **settings)


@pytest.mark.parametrize("blocks", [1, 3, 5, 8])
def test_a_run_that_was_interrupted_goes_on_to_the_same_bits(tmp_path, monkeypatch, blocks):
    part = stopped(monkeypatch, tmp_path / "run.zarr", blocks)
    assert part["posterior"].sizes["draw"] == max(0, 30 * blocks - 120)
    assert part["warmup_posterior"].sizes["draw"] == min(30 * blocks, 120)
    whole = gm.resume(tmp_path / "run.zarr", model(), gm.NUTS(), progress=False)
    equal(whole, run())


def test_a_finished_run_can_be_lengthened(tmp_path):
    run(tmp_path / "run.zarr")
    longer = gm.resume(tmp_path / "run.zarr", model(), gm.NUTS(), draws=200, progress=False)
    equal(longer, run(draws=200))
    again = gm.resume(tmp_path / "run.zarr", model(), gm.NUTS(), progress=False)
    equal(again, longer)


def test_a_sampler_with_state_and_adapters_of_its_own_goes_on(tmp_path, monkeypatch):
    def sample(path):
        settings = {"chains": 3, "draws": 70, "warmup": 80, "seed": 1, "progress": False, "chain_mode": "map"}
        return gm.sample(model(), gm.HMC(), store=path, **settings)

    whole = sample(None)
    stopped(monkeypatch, tmp_path / "run.zarr", 2, sample)
    equal(gm.resume(tmp_path / "run.zarr", model(), gm.HMC(), progress=False), whole)


def test_what_was_written_after_the_last_state_is_taken_back(tmp_path, monkeypatch):
    stopped(monkeypatch, tmp_path / "run.zarr", 5, checkpoint_every=30)
    zarr.open_group(tmp_path / "run.zarr", mode="r+")["posterior/tau"][:, 30:] = -1.0  # as by a kill before the state
    stopped(monkeypatch, tmp_path / "run.zarr", 1, resumed, draws=170)
    values = zarr.open_group(tmp_path / "run.zarr", mode="r")["posterior/tau"][:]
    assert (values[:, :60] > 0.0).all()
    assert np.isnan(values[:, 60:]).all()
    assert values.shape == (2, 170)


def resumed(path, **settings):
    return gm.resume(path, model(), gm.NUTS(), progress=False, **settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: (gm.joint(x=dist.Normal(0, 1)), gm.NUTS()), "the model differs"),
        (
            lambda: (model(), gm.NUTS(target_accept=0.9)),
            "the setting target_accept differs: 0.88 in the store, 0.9 now",
        ),
        (lambda: (model(), gm.MALA()), "the sampler differs: NUTS .* MALA"),
    ],
)
def test_another_model_or_sampler_is_refused(tmp_path, change, message):
    run(tmp_path / "run.zarr", draws=10, warmup=10)
    with pytest.raises(gm.SpecError, match=message):
        gm.resume(tmp_path / "run.zarr", *change(), progress=False)


def test_other_data_and_other_versions_are_refused(tmp_path, monkeypatch):
    run(tmp_path / "run.zarr", draws=10, warmup=10)
    other = gm.replace(model(), observed={"y": np.array([1.0, -2.0, 0.6])})
    with pytest.raises(gm.SpecError, match="the model differs"):
        gm.resume(tmp_path / "run.zarr", other, gm.NUTS(), progress=False)
    monkeypatch.setattr("jax.__version__", "0.0.1")
    with pytest.raises(gm.SpecError, match=r"the version of jax differs: .*, 0\.0\.1 now"):
        gm.resume(tmp_path / "run.zarr", model(), gm.NUTS(), progress=False)


def test_no_run_and_fewer_draws_are_refused(tmp_path):
    with pytest.raises(gm.SpecError, match="there is no run at that path"):
        gm.resume(tmp_path / "nothing.zarr", model(), gm.NUTS())
    run(tmp_path / "run.zarr", draws=10, warmup=10)
    with pytest.raises(gm.SpecError, match="the run has 10 draws"):
        gm.resume(tmp_path / "run.zarr", model(), gm.NUTS(), draws=5)


def test_a_damaged_state_falls_back_to_the_one_before(tmp_path, monkeypatch):
    stopped(monkeypatch, tmp_path / "run.zarr", 6, checkpoint_every=60)
    found = files(tmp_path / "run.zarr" / "state")
    assert len(found) == 2
    found[0].write_bytes(found[0].read_bytes()[: found[0].stat().st_size // 2])
    with pytest.warns(UserWarning, match="is damaged"):
        whole = gm.resume(tmp_path / "run.zarr", model(), gm.NUTS(), progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        equal(whole, run())


def begun_by_two(monkeypatch, path, sample=run, **settings):
    """A run of two processes of which only the first has made its chains, and is then stopped while it waits."""

    def stop(path, count):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setenv("GMDSL_PROCESS", "0/2")
    monkeypatch.setattr("gmdsl.run.resume.all_done", stop)
    return sample(path, chains=3, **settings)


def test_one_process_finishes_and_lengthens_what_two_began_to_the_bits_of_one(tmp_path, monkeypatch):
    path, whole = tmp_path / "run.zarr", run(chains=3, chain_mode="map")
    part = begun_by_two(monkeypatch, path)
    assert part["posterior"].sizes["draw"] == 0
    assert part.attrs["interrupted"] == 1
    theta = zarr.open_group(path, mode="r")["posterior/theta"]
    np.testing.assert_array_equal(theta[:1], whole["posterior"]["theta"].values[:1])
    assert np.isnan(theta[1:]).all()
    equal(gm.resume(path, model(), gm.NUTS(), progress=False), whole)
    longer = gm.resume(path, model(), gm.NUTS(), draws=150, progress=False)
    equal(longer, run(chains=3, chain_mode="map", draws=150))
    assert longer.attrs["interrupted"] == 0


def test_chains_that_are_split_do_not_depend_on_how_even_where_chains_side_by_side_would(tmp_path, monkeypatch):
    def sample(path, **settings):
        how = {"draws": 300, "warmup": 200, "seed": 2, "progress": False, **settings}
        return gm.sample(model(), gm.MALA(), store=path, **how)

    begun_by_two(monkeypatch, tmp_path / "run.zarr", sample)
    found = gm.resume(tmp_path / "run.zarr", model(), gm.MALA(), progress=False)
    equal(found, sample(None, chains=3, chain_mode="map"))
    beside = sample(None, chains=3, chain_mode="vmap")["posterior"]["theta"].values
    assert (beside != found["posterior"]["theta"].values).any()  # or else this test could see nothing


def test_starts_that_were_given_are_those_of_every_share(tmp_path, monkeypatch):
    settings = {"init": {"tau": [0.5, 1.0, 1.5], "theta": np.arange(9.0).reshape(3, 3)}, "draws": 20, "warmup": 20}
    begun_by_two(monkeypatch, tmp_path / "run.zarr", **settings)
    whole = run(chains=3, chain_mode="map", **settings)
    equal(gm.resume(tmp_path / "run.zarr", model(), gm.NUTS(), progress=False), whole)


def test_a_launched_run_goes_on_with_the_same_settings_only(tmp_path, monkeypatch):
    path, settings = tmp_path / "run.zarr", {"draws": 20, "warmup": 20}
    begun_by_two(monkeypatch, path, **settings)
    monkeypatch.setenv("GMDSL_PROCESS", "0/1")
    equal(run(path, chains=3, **settings, chain_mode="map"), run(chains=3, **settings, chain_mode="map"))
    with pytest.raises(gm.SpecError, match="the setting draws differs: 20 in the store, 30 now"):
        run(path, chains=3, chain_mode="map", draws=30, warmup=20)
    monkeypatch.setenv("GMDSL_PROCESS", "0/2")
    with pytest.raises(gm.SpecError, match="2 processes cannot lengthen a run"):
        gm.resume(path, model(), gm.NUTS(), draws=30, progress=False)


def test_a_run_that_was_not_begun_whole_is_begun_anew(tmp_path, monkeypatch):
    path, settings = tmp_path / "run.zarr", {"draws": 20, "warmup": 20}

    def torn(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("gmdsl.run.storage.checkpoint.write", torn)
        with pytest.raises(KeyboardInterrupt):
            run(path, **settings)
    assert not path.exists()
    equal(run(path, **settings), run(**settings))
    assert [found.name for found in tmp_path.iterdir()] == ["run.zarr"]


@pytest.mark.parametrize("count", [1, 3, 7])
@pytest.mark.parametrize("then", [{}, {"draws": 200}, {"draws": 150}])
def test_a_run_that_was_killed_while_it_was_lengthened_goes_on(tmp_path, monkeypatch, count, then):
    path, written = tmp_path / "run.zarr", []
    run(path, draws=60, warmup=60)

    def killed(place, content):
        if len(written) == count:
            raise KeyboardInterrupt
        written.append(place)
        write_file(place, content)

    with monkeypatch.context() as patched:
        patched.setattr("gmdsl.run.storage.layout.write_file", killed)
        with pytest.raises(KeyboardInterrupt):
            resumed(path, draws=200)
    equal(resumed(path, **then), run(draws=then.get("draws", 60), warmup=60))


def test_state_files_of_another_run_or_share_and_of_another_version_are_refused(tmp_path, monkeypatch):
    path, other = tmp_path / "run.zarr", tmp_path / "other.zarr"
    begun_by_two(monkeypatch, path, draws=20, warmup=20)
    run(other, draws=20, warmup=20)
    (second,) = files(path / "state" / "share-00001")[:1]
    content = second.read_bytes()
    second.write_bytes(files(path / "state" / "share-00000")[-1].read_bytes())
    with pytest.raises(gm.StoreError, match=r"share-00001 are of another share: \[0, 2\], and not \[1, 2\]"):
        resumed(path)
    second.write_bytes(content)
    whole = resumed(path)
    (state,) = files(other / "state")[:1]
    state.write_bytes(b"gmdsl state 1\n" + state.read_bytes()[14:])
    with pytest.warns(UserWarning, match="does not begin with 'gmdsl state 2', it is of another version"):
        resumed(other)
    state = newest(other / "state")
    write(other / "state", dataclasses.replace(state, facts={**state.facts, "plan": {"chains": 2}}))
    with pytest.raises(gm.StoreError, match=r"the plan of the run is of gmdsl .*Resume it with the version that began"):
        resumed(other)
    write(other / "state", dataclasses.replace(state, arrays=state.arrays[:-1]))
    with pytest.raises(gm.StoreError, match=r"the state has arrays of shapes .* another version"):
        resumed(other)
    equal(resumed(path), whole)


def test_a_folder_of_somebody_else_is_not_touched(tmp_path):
    mine = tmp_path / "run.zarr.partial"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    run(tmp_path / "run.zarr", draws=10, warmup=10)
    assert (mine / "notes.txt").read_text() == "mine"
    (tmp_path / "empty.zarr").mkdir()
    run(tmp_path / "empty.zarr", draws=10, warmup=10)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["empty.zarr", "run.zarr", "run.zarr.partial"]
    with pytest.raises(gm.StoreError, match="there is no state file|manifest"):
        resumed(mine)


def test_path_model_and_sampler_may_come_in_any_order(tmp_path):
    model, store = gm.joint(x=dist.Normal(0.0, 1.0)), tmp_path / "run.zarr"
    tree = gm.sample(model, gm.NUTS(), chains=1, draws=10, warmup=10, store=store, seed=0, progress=False)
    for order in ((model, store, gm.NUTS()), (store, gm.NUTS(), model), (gm.NUTS(), model, store)):
        again = gm.resume(*order, progress=False)
        np.testing.assert_array_equal(again["posterior"]["x"].values, tree["posterior"]["x"].values)


def test_a_resumed_run_needs_its_sampler(tmp_path):
    with pytest.raises(gm.SpecError, match="the sampler is missing"):
        gm.resume(tmp_path / "run", gm.energy(lambda x: x**2, x=gm.Real()), draws=10)
