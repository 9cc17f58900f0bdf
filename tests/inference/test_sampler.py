import jax.numpy as jnp
import pytest

import gmdsl as gm
from gmdsl.inference.sampler import Sampler


def test_step_is_the_one_required_method():
    class Still(Sampler):
        def step(self, key, target, state):
            return state, {}

    x = jnp.ones(2)
    still = Still()
    assert still.init(None, None, x) is x
    assert still.position(x) is x
    assert still.refresh(None, None, x) is x

    class Nothing(Sampler):
        pass

    with pytest.raises(TypeError):
        Nothing()
    assert gm.Sampler is Sampler


def test_a_sampler_that_needs_nothing_of_a_model_stays_as_it_is_when_bound():
    sampler = gm.RandomWalk()
    assert sampler.bound(gm.compile(gm.energy(lambda x: x @ x, x=gm.Real(2)))) is sampler
