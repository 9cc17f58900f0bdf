import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.run.chains.setup import CAPACITY, CHEAP, NUMBERS, RunPlan, capacity, prepared, shapes
from gmdsl.run.chains.starts import started
from gmdsl.run.parallel.placement import Share

BOWL = gm.energy(lambda x: 0.5 * x @ x + jnp.cos(x[0]), x=gm.Real(64))


def setup(sampler, chains=4, draws=20, warmup=10, mode="vmap", **changes):
    return prepared(gm.compile(BOWL), sampler, RunPlan(chains, draws, warmup, 3, 1, mode), **changes)


def test_a_share_has_its_chains_with_the_keys_of_the_whole_run():
    whole = setup(gm.MALA(), chains=8)
    parts = [setup(gm.MALA(), chains=8, share=Share(index, 3)) for index in range(3)]
    assert [part.chains for part in parts] == [range(2), range(2, 5), range(5, 8)]
    np.testing.assert_array_equal(np.concatenate([part.keys for part in parts]), whole.keys)
    assert len(np.unique(np.asarray(whole.keys), axis=0)) == 8


@pytest.mark.usefixtures("cpu")
def test_a_second_program_takes_over_after_warm_up_and_is_all_that_is_left_then():
    one = setup(gm.MALA())
    assert [end for _, end in one.stages(0)] == [one.total] == [30]
    two = setup(gm.ChEESHMC(), chains=64, draws=2000, warmup=1000, mode="vmap, then tile")
    (first, then), (begin, end) = zip(*two.stages(0), strict=True)
    assert (begin, end) == (1000, 3000)
    assert len(first.kernel.adapters) > len(then.kernel.adapters) == 0
    assert (first.parts, then.parts) == (1, 2)
    assert [end for _, end in two.stages(999)] == [1000, 3000]
    assert two.stages(1000) == [(then, 3000)]


def test_buffers_are_no_larger_than_said_and_no_longer_than_the_run_where_that_costs():
    for chains in (1, 7, 400, 30_000):
        for dim in (1, 50, 3000):
            for total in (1, 30, 5000):
                records, numbers = capacity(chains, dim, total), chains * dim
                assert 1 <= records <= CAPACITY
                assert records * numbers <= max(NUMBERS, numbers)
                if records * numbers > 8 * CHEAP:
                    assert records <= max(1, 2 * (total - 1))


def test_the_shapes_of_a_block_are_those_of_the_block_that_is_made():
    here = setup(gm.MALA())
    carries = started(here, None)
    said = shapes(here, carries)
    assert said.position.shape == (4, capacity(4, 64, 30), 64)
    assert set(said.stats) >= {"acceptance_rate", "accepted", "nan_evaluations", "step_size"}
    assert {array.shape for array in said.stats.values()} == {(4, capacity(4, 64, 30))}
