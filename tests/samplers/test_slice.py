import jax.numpy as jnp
import numpy as np
import pytest

import gmdsl as gm
from tests.samplers.laws import assert_exact, target


def test_slice_sampling_reproduces_the_law():
    tree = gm.sample(target(), gm.Slice(), draws=12_000, progress=False)
    assert_exact(tree, least_ess=2000)


@pytest.mark.filterwarnings("ignore::gmdsl.core.errors.NaNWarning")  # exp overflows at the ends of wide intervals
@pytest.mark.parametrize(
    "sampler", [gm.Slice(width=0.3, max_steps_out=10), gm.Slice(width=50.0)], ids=["short", "wide"]
)
def test_a_bad_width_costs_evaluations_and_not_the_law(sampler):
    tree = gm.sample(target(), sampler, draws=12_000, progress=False)
    assert_exact(tree, least_ess=600)
    assert float(tree["sample_stats"]["n_steps"].mean()) > 4.0


def test_it_needs_no_gradient_and_stays_in_the_support():
    steps = gm.energy(lambda x: jnp.where(x < 2.5, jnp.floor(jnp.abs(x)), jnp.inf), x=gm.Real())
    x = gm.sample(steps, gm.Slice(), draws=5000, progress=False)["posterior"]["x"].values
    assert x.max() < 2.5
    weights = np.exp(-np.array([0.0, 1.0, 2.0]))
    left = 1.0 / (1.0 - np.exp(-1.0))
    inside = 2.0 / (left + weights[0] + weights[1] + 0.5 * weights[2])
    assert abs((np.abs(x) < 1).mean() - inside) < 0.03


def test_nan_is_outside_of_every_slice():
    broken = gm.energy(lambda x: 0.5 * x**2 + 0.0 * jnp.log(1.0 - x), x=gm.Real())
    with pytest.warns(gm.NaNWarning):
        tree = gm.sample(broken, gm.Slice(), draws=1000, warmup=100, init={"x": 0.0}, progress=False)
    assert tree["posterior"]["x"].values.max() <= 1.0


def test_settings_are_checked():
    with pytest.raises(gm.SpecError, match="max_steps_out=0"):
        gm.Slice(max_steps_out=0)
    with pytest.raises(gm.SpecError, match="width"):
        gm.Slice(width=-1.0)
