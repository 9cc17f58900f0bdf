import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.run.chains import cores
from gmdsl.run.chains.cores import Block, Cores, joined_chains, parts_of, split_chains
from tests.run.storage.test_store import equal, model

pytestmark = pytest.mark.usefixtures("cpu")


@pytest.mark.parametrize(
    ("mode", "chains", "number", "parts"),
    [("map", 4, 2, 4), ("map", 4, 1, 4), ("map", 16, 4, 16), ("map", 17, 2, 1), ("map", 18, 4, 3), ("map", 1, 8, 1),
     ("vmap", 64, 2, 1), ("tile", 10_000, 2, 2), ("tile", 1000, 3, 2), ("tile", 257, 2, 1), ("tile", 256, 8, 2)],
)  # fmt: skip
def test_parts_are_of_one_size_by_whole_tiles(mode, chains, number, parts):
    assert parts_of(mode, chains, number) == parts


def test_a_share_is_cut_as_the_whole_run_would_be():
    """A few chains of many are run in one program's loop, as all of them are, so that no bit depends on the shares."""
    assert parts_of("map", 8, 2, run=32) == 2
    assert parts_of("map", 8, 2, run=16) == 8


def run(sampler=None, **changes):
    settings = {"chains": 4, "draws": 130, "warmup": 120, "seed": 3, "progress": False, **changes}
    return gm.sample(model(), sampler or gm.NUTS(), **settings)


@pytest.mark.parametrize("number", [2, 4])
def test_draws_and_settings_do_not_depend_on_the_number_of_cores(number):
    one, several = run(cores=1), run(cores=number)
    assert (one.attrs["cores"], several.attrs["cores"]) == (1, number)
    equal(one, several)


def test_the_threads_work_in_the_precision_of_the_caller():
    """`jax.enable_x64` is a matter of one thread."""
    with jax.enable_x64(True):
        one, two = run(cores=1), run(cores=2)
    assert two["posterior"]["theta"].dtype == np.float64
    equal(one, two)


def test_tiles_are_shared_by_the_cores_too():
    settings = {"chains": 256, "draws": 20, "warmup": 5, "sampler": gm.Langevin(0.01)}
    one, two = run(cores=1, **settings), run(cores=2, **settings)
    assert one.attrs["chain_mode"] == "tile"
    assert two.attrs["cores"] == 2
    equal(one, two)


def test_more_chains_than_cores_wait_for_the_next_free_one():
    """Three chains on two cores; and one program serves any number of chains."""
    one, two = run(cores=1, chains=3), run(cores=2, chains=3)
    assert two.attrs["cores"] == 2
    equal(one, two)
    four = run(cores=2)
    np.testing.assert_array_equal(four["posterior"]["theta"][:3], two["posterior"]["theta"])


def test_many_chains_one_after_the_other_are_looped_over_by_their_program():
    one, two = run(cores=1, chains=18, draws=20, warmup=20), run(cores=2, chains=18, draws=20, warmup=20)
    assert two.attrs["cores"] == 2
    equal(one, two)


def test_a_stored_run_may_go_on_with_other_cores(tmp_path):
    whole = run(cores=1)
    run(cores=2, draws=60, store=tmp_path / "run.zarr")
    equal(gm.resume(tmp_path / "run.zarr", model(), gm.NUTS(), draws=130, progress=False, cores=4), whole)


def test_all_parts_run_by_one_compiled_program(compilations):
    run(draws=11, cores=2)
    before = len(compilations)
    run(draws=12, seed=9, cores=2)
    assert len(compilations) == before


X = {"x": jax.ShapeDtypeStruct((1, 5), jnp.float32)}


def moved(records):
    """What a block gets that makes so many records."""
    return np.int32(0), np.int32(records), np.zeros(5, np.int8)


def test_parts_run_at_the_same_time():
    """Each part waits until all have begun."""
    together = threading.Barrier(3, timeout=20)

    def block(target, key, carry, first, records, phases):
        together.wait()
        return carry + 1, {"x": jnp.full((1, 5), key)}

    carries = [0, 0, 0]
    with Cores(3) as crew:
        record = crew.block(Block(block, X), (), [np.array([k]) for k in (1.0, 2.0, 3.0)], carries, moved(2))
    np.testing.assert_array_equal(record["x"], [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    assert carries == [1, 1, 1]


def test_what_fails_in_a_thread_is_raised():
    def block(target, key, carry, *moved):
        if key[0] == 1:
            raise ValueError("no")
        return carry, {"x": jnp.zeros((1, 5))}

    with Cores(2) as crew, pytest.raises(ValueError, match="no"):
        crew.block(Block(block, X), (), [np.zeros(1), np.ones(1)], [0, 0], moved(5))


def test_what_fails_leaves_nothing_to_begin():
    begun = []

    def block(target, key, carry, *moved):
        begun.append(int(key[0]))
        raise ValueError("no")

    carries = [0] * 5
    with Cores(1) as crew, pytest.raises(ValueError, match="no"):
        crew.block(Block(block, X), (), [np.array([k]) for k in range(5)], carries, moved(5))
    assert begun == [0]
    assert carries == [0] * 5


def test_after_an_interruption_carries_are_those_of_whole_blocks():
    """The thread that calls is interrupted while it waits for its draws; another ends its block, none begins one."""
    begun, caller = threading.Event(), threading.get_ident()

    class Interrupted:
        shape, dtype = (1, 5), np.dtype(np.float32)

        def __array__(self, *_, **__):
            raise KeyboardInterrupt

    def block(target, key, carry, *moved):
        if threading.get_ident() == caller:
            assert begun.wait(20)
            return carry + 1, {"x": Interrupted()}
        begun.set()
        time.sleep(0.1)
        return carry + 1, {"x": jnp.zeros((1, 5))}

    carries = [0] * 6
    with pytest.raises(KeyboardInterrupt), Cores(2) as crew:
        crew.block(Block(block, X), (), [np.zeros(1)] * 6, carries, moved(5))
    assert set(carries) == {0, 1}
    assert sum(carries) == 2


def test_an_interrupted_run_keeps_its_draws_and_settings(monkeypatch):
    block, seen = Cores.block, []

    def stopped(self, *args):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(1)
        return block(self, *args)

    monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 60)
    monkeypatch.setattr(Cores, "block", stopped)
    cut = run(cores=2, warmup=60)
    monkeypatch.setattr(Cores, "block", block)
    whole = run(cores=2, warmup=60)
    assert cut.attrs["interrupted"] == 1
    done = cut["posterior"].sizes["draw"]
    assert 0 < done < 130
    np.testing.assert_array_equal(cut["posterior"]["theta"], whole["posterior"]["theta"][:, :done])
    np.testing.assert_array_equal(cut["tuned"]["step_size"], whole["tuned"]["step_size"])


def test_keys_are_split_and_joined_as_arrays_are():
    tree = {"key": jax.random.split(jax.random.key(0), 4), "x": jnp.arange(8.0).reshape(4, 2)}
    parts = split_chains(tree, 2)
    assert [part["x"].shape for part in parts] == [(2, 2), (2, 2)]
    whole = joined_chains(parts)
    assert (whole["key"] == tree["key"]).all()
    np.testing.assert_array_equal(whole["x"], tree["x"])


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "2"])
def test_a_number_of_cores_is_a_whole_number(bad):
    with pytest.raises(gm.SpecError, match=r"cores=.*whole number of at least 1"):
        run(cores=bad)


def test_processes_that_work_together_share_the_cores(monkeypatch):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda pid: range(8))
    assert [cores.cores_here(n) for n in (1, 3, 100)] == [8, 2, 1]


def test_a_block_is_compiled_anew_for_what_it_depends_on(compilations):
    """Contexts of the thread that calls; a second call of the same kind looks its program up."""
    run(cores=2)
    known = len(compilations)
    run(cores=2, seed=4)
    assert len(compilations) == known
    with jax.default_matmul_precision("highest"):
        run(cores=2)
    assert len(compilations) > known
