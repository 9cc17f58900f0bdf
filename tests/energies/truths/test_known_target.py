import dataclasses

import jax
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.energies.truths.known_target import draw_ancestrally


def test_what_is_not_known_is_none_and_nothing_can_be_changed():
    target = gm.energies.KnownTarget(gm.energy(lambda x: x**2, x=gm.Real()))
    assert (target.log_z, target.mean, target.variance, target.draw, target.reference) == (None,) * 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        target.log_z = 1.0


def test_ancestral_draws_follow_the_key():
    draw = draw_ancestrally(gm.joint(x=dist.Normal(0.0, 1.0)))
    one, again, other = (draw(jax.random.key(k), 3)["x"].tolist() for k in (0, 0, 1))
    assert one == again != other


def test_it_is_shown_with_what_is_known():
    known = gm.energies.many_well(2)
    assert repr(known).splitlines()[0].startswith("KnownTarget: log Z 10.29")
    assert repr(known).splitlines()[0].endswith("with a reference")
