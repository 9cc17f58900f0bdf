import time

import jax.numpy as jnp
import numpy as np

import gmdsl as gm
from gmdsl.run.chains.block import run_block
from gmdsl.run.chains.block_length import FIRST, SECONDS, Pace


def test_blocks_settle_at_a_quarter_of_a_second():
    pace, sizes = Pace(1000, None), []
    for _ in range(6):
        sizes.append(pace.next(sum(sizes), 10**6))
        pace.took(sizes[-1], 0.002 * sizes[-1] + (3.0 if len(sizes) == 1 else 0.0))
    assert sizes == [FIRST, FIRST, *[int(SECONDS / 0.002)] * 4]


def test_fast_blocks_are_as_long_as_the_buffers_and_slow_ones_as_short_as_a_record():
    fast, slow = Pace(1000, None), Pace(1000, None)
    fast.took(50, 1e-4)
    slow.took(50, 100.0)
    slow.took(50, 100.0)
    assert (fast.next(50, 5000), fast.next(50, 30), slow.next(100, 5000)) == (1000, 30, 1)


def test_blocks_end_where_a_commit_is_asked_for():
    pace = Pace(1000, 70)
    pace.took(50, 1e-4)
    done, sizes = 0, []
    while done < 200:
        sizes.append(pace.next(done, 200 - done))
        done += sizes[-1]
    assert sizes == [70, 70, 60]


def test_a_run_is_as_fast_as_the_last_one_of_its_kind():
    before, other = Pace(1000, None, "kind"), Pace(1000, None, "other")
    assert (before.next(0, 5000), other.next(0, 5000)) == (FIRST, FIRST)
    before.took(FIRST, 9.0)  # compilation is in it
    before.took(FIRST, 0.001 * FIRST)
    again, other, new = Pace(1000, None, "kind"), Pace(1000, None, "other"), Pace(1000, None)
    assert (again.next(0, 5000), other.next(0, 5000), new.next(0, 5000)) == (int(SECONDS / 0.001), FIRST, FIRST)


def test_a_run_makes_the_same_draws_however_it_is_cut(monkeypatch):
    """A slow machine and a fast one."""
    model = gm.energy(lambda x: 0.5 * x @ x + jnp.cos(x[0]), x=gm.Real(3))
    trees, cuts = [], []
    for pause in (0.0, 0.03):
        cut = []

        def paused(kernel, target, keys, carries, first, records, phases, pause=pause, cut=cut):
            time.sleep(pause)
            cut.append(int(records))
            return run_block(kernel, target, keys, carries, first, records, phases)

        monkeypatch.setattr("gmdsl.run.chains.loop.run_block", paused)
        monkeypatch.setattr("gmdsl.run.chains.block_length.SECONDS", 0.01)
        monkeypatch.setattr("gmdsl.run.chains.setup.CAPACITY", 100)
        trees.append(gm.sample(model, gm.MALA(), draws=200, warmup=100, progress=False, cores=1))
        cuts.append(cut)
    assert max(cuts[1][1:]) < max(cuts[0])
    np.testing.assert_array_equal(trees[0]["posterior"]["x"], trees[1]["posterior"]["x"])
