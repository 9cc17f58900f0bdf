import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.diffusion.flat_family import FlatFamily


class Shift(gm.Generator):
    """Starts, moved by a number."""

    by: float = 100.0

    takes = FlatFamily

    def draw(self, key, target):
        return target.start(key) + self.by, {"moved": jnp.asarray(self.by)}


def test_one_method_makes_a_generator():
    family = gm.noise(gm.joint(x=dist.Normal(jnp.zeros(2), 1.0).to_event(1)), gm.VP())
    tree = gm.sample(family, Shift(), draws=50, progress=False)
    assert tree["posterior"]["x"].shape == (1, 50, 2)
    assert abs(float(tree["posterior"]["x"].mean()) - 100.0) < 0.5
    np.testing.assert_array_equal(tree["sample_stats"]["moved"].values, np.full((1, 50), 100.0, np.float32))
    assert tree.attrs["sampler"] == "Shift"
    assert "bias" not in tree.attrs


def test_it_needs_nothing_before_its_first_draw_unless_it_says_so():
    generator = Shift()
    ready = generator.prepare(jax.random.key(0), None, None)
    assert ready.generator is generator
    assert (ready.found, ready.most) == ({}, None)
    assert generator.bias is None


def test_without_draw_it_cannot_be_made():
    class Empty(gm.Generator):
        pass

    with pytest.raises(TypeError, match="draw"):
        Empty()
