import pytest

import gmdsl as gm
from gmdsl.inference.adapter import adapters_of


class Plain(gm.Sampler):
    step_size: float = 1.0

    def step(self, key, target, state):
        return state, {}


class Tuned(Plain):
    adapts = gm.adapt.StepSize(target_accept=0.3)


class Wrong(Plain):
    adapts = (gm.adapt.StepSize(), gm.adapt.DiagonalMetric())


def test_one_adapter_a_tuple_and_none_are_all_allowed():
    assert adapters_of(Plain()) == ()
    assert [a.target_accept for a in adapters_of(Tuned())] == [0.3]
    assert len(adapters_of(gm.NUTS())) == 2


def test_an_adapter_needs_the_field_it_tunes():
    with pytest.raises(gm.SpecError, match="DiagonalMetric tunes inverse_mass, which the sampler does not have"):
        adapters_of(Wrong())


def test_settings_reach_the_adapters():
    assert adapters_of(gm.NUTS(target_accept=0.95))[1].target_accept == 0.95
