import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from gmdsl.samplers.approximations.fitting.variational import PROBES, _frame
from tests.samplers.approximations.targets import MEAN, PRECISION, drawn, gaussian


@pytest.mark.usefixtures("x64")
def test_the_frame_is_the_mode_with_the_curvature_along_each_coordinate():
    """Probes see the diagonal with an error of sqrt(2 sum of squares off it / probes); |z| < 4 for three numbers."""
    target = gm.compile(gaussian()).target
    frame = _frame(jax.random.key(0), target, jnp.zeros((2, 3)))
    np.testing.assert_allclose(frame.center, MEAN, rtol=1e-6)
    error = np.sqrt(np.sum((PRECISION - np.diag(np.diag(PRECISION))) ** 2, axis=1) / PROBES)
    assert (np.abs(1 / np.asarray(frame.scale) ** 2 - np.diag(PRECISION)) < 4 * error + 1e-9).all()


def test_where_there_is_no_mode_the_frame_is_the_first_start():
    target = gm.compile(gm.energy(lambda x: x.sum(), x=gm.Real(2))).target
    frame = _frame(jax.random.key(0), target, jnp.array([[0.5, 0.25], [1.0, 1.0]]))
    np.testing.assert_array_equal(frame.center, [0.5, 0.25])
    np.testing.assert_array_equal(frame.scale, [1.0, 1.0])


def test_a_few_steps_without_a_finite_bound_are_left_out_and_counted():
    """The log-density is NaN two standard deviations from the mode: 5 % of the steps of one draw see it."""
    cut = gm.energy(lambda x: jnp.where(x > 2.0, jnp.nan, 0.5 * x**2), x=gm.Real())
    group = drawn(cut, gm.MeanField(updates=500, estimate=1), draws=20)["approximation"]
    assert 2 < int(group["skipped_updates"]) < 60
    assert int(np.isnan(group["elbo"]).sum()) == int(group["skipped_updates"])
    assert -0.7 < float(group["mean"][0]) < 0.3


@pytest.mark.parametrize("kind", [gm.MeanField, gm.FullRank])
def test_a_target_that_no_gaussian_fits_is_an_error(kind):
    narrow = gm.energy(lambda x: jnp.where(jnp.abs(x) > 0.5, jnp.nan, 0.01 * x**2), x=gm.Real())
    with pytest.raises(
        gm.SpecError, match=rf"{kind.__name__}\(\)\): the evidence lower bound was not finite at \d+ of 50"
    ):
        drawn(narrow, kind(updates=50))


@pytest.mark.parametrize("kind", [gm.MeanField, gm.FullRank])
def test_settings_out_of_range_are_refused(kind):
    for name, value in {"updates": 0, "estimate": 2.5, "learning_rate": 0.0}.items():
        with pytest.raises(gm.SpecError, match=rf"{kind.__name__}\({name}="):
            kind(**{name: value})
