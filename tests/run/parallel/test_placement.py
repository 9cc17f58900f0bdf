import jax
import pytest

import gmdsl as gm
from gmdsl.run.parallel.mesh import check_mesh
from gmdsl.run.parallel.placement import ALONE, WHOLE, Place, Share, launched, place


@pytest.mark.parametrize("chains", [3, 4, 7, 128])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_have_every_chain_once_in_order_and_differ_by_one_at_most(chains, count):
    parts = [Share(index, count).of(chains) for index in range(count)]
    assert [c for part in parts for c in part] == list(range(chains))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_place_is_what_gmdsl_launch_says(monkeypatch):
    monkeypatch.delenv("GMDSL_PROCESS", raising=False)
    assert launched() is None
    assert place() == place(gm.mesh()) == ALONE
    assert ALONE.share == WHOLE
    monkeypatch.setenv("GMDSL_PROCESS", "1/3")
    assert place() == Place(1, 3, launched=True)
    assert place().share == Share(1, 3)


@pytest.mark.parametrize("text", ["", "2", "2/2", "-1/2", "a/b", "0/0"])
def test_a_malformed_place_is_refused(monkeypatch, text):
    monkeypatch.setenv("GMDSL_PROCESS", text)
    with pytest.raises(gm.SpecError, match=r"the form is i/n, such as 0/2"):
        place()


def test_fewer_chains_than_processes_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("GMDSL_PROCESS", "0/3")
    bowl = gm.energy(lambda x: x @ x, x=gm.Real(2))
    with pytest.raises(gm.SpecError, match=r"3 processes cannot share 2 chains\. Take chains=3 or more"):
        gm.sample(bowl, gm.MALA(), chains=2, store=tmp_path / "run.zarr")
    assert not (tmp_path / "run.zarr").exists()


def test_devices_of_all_launched_processes_must_divide_the_chains():
    with pytest.raises(gm.SpecError, match=r"2 devices cannot share 5 chains evenly\. Take chains=6"):
        check_mesh(gm.mesh(jax.devices()[:1]), 5, Place(0, 2, launched=True))
    with pytest.raises(gm.SpecError, match=r"2 processes have 1 devices in it, this one 1\. Use as many of each"):
        check_mesh(gm.mesh(jax.devices()[:1]), 4, Place(0, 2, joined=True))


def test_who_is_alone_meets_and_agrees_with_nobody(monkeypatch):
    from jax._src import distributed
    from jax.experimental import multihost_utils

    class Client:
        def wait_at_barrier(self, name, patience):
            called.append(name)

    called = []
    monkeypatch.setattr(distributed.global_state, "client", Client())
    monkeypatch.setattr(multihost_utils, "process_allgather", lambda digest: called.append("gather") or digest)
    ALONE.meet()
    ALONE.agree("anything")
    assert called == []
    Place(0, 2, joined=True).agree("anything")
    assert called == ["gmdsl", "gather"]
