"""Structure, not time: what a change to the engine may not double without anybody noticing."""

import pathlib
import sys

import numpy as np
import pytest

import gmdsl as gm

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "benchmarks"))
import structure

SHORT = {"chains": 4, "draws": 20, "warmup": 20}
BYTES = {1: 47_361, 100: 4_661_046, 10_000: 1_527_599}  # of a block, its buffers included, jax 0.12
FLOPS = {1: 1.3, 100: 1.15, 10_000: 1.15}  # to a loop that keeps no log-density and looks for no NaN


@pytest.mark.parametrize("chains", [1, 100, 10_000])
def test_a_langevin_step_does_what_a_hand_written_one_does(chains):
    found = structure.langevin(chains)
    assert 0.9 < found["flops ratio"] < FLOPS[chains]
    assert found["gmdsl"]["transcendentals"] < 1.25 * found["hand-written"]["transcendentals"]
    assert found["gmdsl"]["bytes"] < 1.2 * BYTES[chains]


def test_the_count_sees_a_density_that_is_evaluated_twice(monkeypatch):
    once = structure.program_of_a_block(structure.mixture(), gm.Langevin(0.01), 4)
    step = gm.Langevin.step

    def twice(self, key, target, state):
        new, stats = step(self, key, target, state)
        more = target.log_density_and_score(new.position * np.float32(0.999))[1]
        return new._replace(score=0.5 * (new.score + more)), stats

    monkeypatch.setattr(gm.Langevin, "step", twice)
    import jax

    jax.clear_caches()
    assert structure.program_of_a_block(structure.mixture(), gm.Langevin(0.01), 4)["flops"] > 1.25 * once["flops"]
    monkeypatch.undo()
    jax.clear_caches()


@pytest.mark.parametrize(
    ("model", "again", "sampler", "traces", "compilations"),
    [
        (structure.mixture, lambda: structure.mixture(structure.CENTRES[::-1]), gm.Langevin(0.01), 4, 6),
        (structure.eight_schools, lambda: structure.eight_schools(structure.EFFECTS[::-1]), gm.NUTS(), 5, 7),
    ],
    ids=["Langevin", "NUTS"],
)
def test_a_first_call_traces_little_and_a_later_one_nothing(model, again, sampler, traces, compilations):
    found = structure.counted(model, again, sampler, **SHORT)
    assert found["first"]["traces"] <= traces
    assert found["first"]["compilations"] <= compilations
    for name in ("new data", "new length"):
        assert found[name] == {"traces": 0, "compilations": 0}
