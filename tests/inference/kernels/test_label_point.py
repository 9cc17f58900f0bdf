import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.compiler.flat_target import FlatTarget
from gmdsl.inference.kernels.label_point import (
    changed,
    check_informed,
    is_at,
    label_point,
    log_density_ratio,
    places_of,
    taken,
    values_of,
)  # fmt: skip
from gmdsl.samplers.blocks import OfBlock


def model():
    return gm.energy(lambda s, k: -0.4 * s * (k == 2) - 0.1 * k, s=gm.Spin(), k=gm.Categorical(3))


def test_values_stand_in_rows():
    target = FlatTarget.of(model())
    values, known = values_of(target)
    assert values.tolist() == [[-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]
    assert known.tolist() == [[True, True, False], [True, True, True]]
    at = is_at(jnp.array([1.0, 2.0]), target)
    assert at.tolist() == [[False, True, False], [False, False, True]]
    assert taken(values, at).tolist() == [1.0, 2.0]


def test_a_point_has_its_differences():
    point = label_point(FlatTarget.of(model()), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(point.log_density, 0.0, atol=1e-7)
    np.testing.assert_allclose(point.differences, [[0.0, 0.0, 0.0], [0.0, 0.1, 0.6]], atol=1e-6)


def test_no_density_is_never_entered_and_always_left():
    finite, none, nan = jnp.array(1.0), jnp.array(-jnp.inf), jnp.array(jnp.nan)
    assert float(log_density_ratio(none, finite)) == float(log_density_ratio(none, none)) == -np.inf
    assert float(log_density_ratio(finite, none)) == np.inf
    assert np.isnan(float(log_density_ratio(nan, finite)))


def test_the_share_that_has_changed():
    assert float(changed(jnp.array([1.0, -1.0, 1.0, 1.0]), jnp.ones(4))) == 0.25


def test_places_and_differences_of_a_block():
    mixed = gm.energy(
        lambda x, s, t: x**2 + jnp.where(jnp.sum(t) == 1, 0.0, 1.0) - s * x, x=gm.Real(), s=gm.Spin(), t=gm.Spin(2)
    )
    density = gm.compile(mixed)
    assert places_of(OfBlock(density, ("t",))).tolist() == [2, 3]
    check_informed(gm.GibbsWithGradients(), OfBlock(density, ("s",)))
    blind = gm.compile(gm.energy(lambda t: jnp.where(jnp.sum(t) == 1, 0.0, 1.0), t=gm.Spin(2)))
    with pytest.raises(gm.SpecError, match="reads t by steps that have no differences"):
        check_informed(gm.GibbsWithGradients(), blind)
