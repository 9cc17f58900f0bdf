import dataclasses

import jax.numpy as jnp
import pytest

import gmdsl as gm
from gmdsl.diagnose.certificates.adaptation import adaptation
from gmdsl.diagnose.certificates.targets import skewed
from tests.diagnose.buggy_samplers import Frozen, Untuned
from tests.diagnose.certificates.small import small


class WrongWay(gm.Adapter):
    """Enlarges the step where too little is accepted."""

    target_accept: float = 0.5

    tunes = ("step_size",)
    needs = ("acceptance_rate",)

    def start(self, sampler, dim):
        return jnp.zeros(()), sampler

    def update(self, state, sampler, position, score, stats):
        gap = self.target_accept - stats["acceptance_rate"]
        return state, gm.replace(sampler, step_size=sampler.step_size * jnp.exp(0.05 * gap))

    def finish(self, state, sampler):
        return sampler


class Misled(gm.RandomWalk):
    @property
    def adapts(self):
        return (self.metric, WrongWay())


def test_a_tuned_walk_moves_its_settings_to_the_wanted_acceptance_and_freezes_them():
    row = adaptation(small(gm.RandomWalk(), skewed))
    assert row.status == "passed"
    assert "inverse_mass, step_size" in row.evidence
    assert "wanted 0.23" in row.evidence


def test_a_field_that_is_said_to_be_tuned_and_stays_is_named():
    row = adaptation(small(Untuned(), skewed))
    assert row.status == "failed"
    assert row.evidence.endswith("did not change step_size")


@pytest.mark.slow
def test_a_rule_that_goes_the_wrong_way_misses_its_acceptance():
    row = adaptation(small(Misled(), skewed))
    assert row.status == "failed"
    assert "wanted 0.50" in row.evidence


def test_settings_that_move_after_warm_up_are_seen():
    trials = small(gm.RandomWalk(), skewed)
    (trial,) = trials.each
    moved = tuple(leaf + 1e-6 for leaf in trial.warmed.tuned)
    trial.warmed = dataclasses.replace(trial.warmed, after=moved)
    row = adaptation(trials)
    assert row.status == "failed"
    assert row.evidence == "settings changed after warm-up on (g, b, y)"


def test_without_adapters_there_is_nothing_to_examine():
    assert adaptation(small(Frozen(), skewed)).status == "not examined"
