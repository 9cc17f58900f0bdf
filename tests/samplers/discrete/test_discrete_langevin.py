import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.samplers.discrete import discrete_langevin
from tests.cases.test_discrete import GLASS, MACHINE, glass, machine
from tests.samplers.balance import LIMIT, worst_imbalance, z_of


@pytest.mark.parametrize("ordered", [False, True])
def test_each_flux_is_balanced(ordered):
    worst, moves = worst_imbalance(gm.DiscreteLangevin(step_size=2.0, ordered=ordered))
    assert worst < LIMIT
    assert moves > 0.3


def test_a_proposal_without_its_way_back_is_seen(monkeypatch):
    monkeypatch.setattr(discrete_langevin, "taken", lambda table, at: jnp.zeros(len(table)))
    worst, _ = worst_imbalance(gm.DiscreteLangevin(step_size=2.0))
    assert worst > 20


def test_a_spin_glass_has_its_moments():
    """Twelve means and four correlations, against all states; |z| < 4.5 for all is a false alarm 1e-4 of the time."""
    tree = gm.sample(glass(), gm.DiscreteLangevin(), chains=4, draws=6000, warmup=500, seed=1, progress=False)
    s = tree["posterior"]["s"].values.astype(float)
    for i, truth in enumerate(GLASS.arrays["mean"]):
        assert abs(z_of(s[..., i], truth)) < 4.5
    for i in range(0, 12, 3):
        assert abs(z_of(s[..., i] * s[..., i + 1], GLASS.arrays["second_moment"][i, i + 1])) < 4.5


def test_a_boltzmann_machine_has_its_moments_at_the_wanted_acceptance():
    """Eighteen means; |z| < 4.5 for all is a false alarm 1e-4 of the time."""
    tree = gm.sample(machine(), gm.DiscreteLangevin(), chains=4, draws=6000, warmup=800, seed=2, progress=False)
    for name in ("v", "h"):
        draws = tree["posterior"][name].values.astype(float)
        for i, truth in enumerate(MACHINE.arrays[f"E_{name}"]):
            assert abs(z_of(draws[..., i], truth)) < 4.5
    assert abs(tree["sample_stats"]["acceptance_rate"].values.mean() - 0.574) < 0.12


def test_whole_numbers_in_a_row():
    """A binomial count whose rate another label sets, against its law."""
    model = gm.joint(b=dist.Bernoulli(0.3), n=lambda b: dist.Binomial(12, 0.2 + 0.4 * b))
    kernel = gm.DiscreteLangevin(ordered=True)
    tree = gm.sample(model, kernel, chains=4, draws=4000, warmup=300, seed=3, progress=False)
    b, n = (tree["posterior"][name].values.astype(float) for name in ("b", "n"))
    mean = 12 * (0.7 * 0.2 + 0.3 * 0.6)
    assert abs(z_of(b, 0.3)) < 4.5
    assert abs(z_of(n, mean)) < 4.5
    assert abs(z_of(b * n, 0.3 * 12 * 0.6)) < 4.5


def test_without_correction_the_law_is_biased_and_says_so():
    kernel = gm.DiscreteLangevin(step_size=4.0, corrected=False)
    assert "uncorrected" in kernel.bias
    assert gm.DiscreteLangevin().bias is None
    worst, _ = worst_imbalance(kernel)
    assert worst > 20
    tree = gm.sample(glass(), kernel, chains=2, draws=200, warmup=10, progress=False)
    assert "acceptance_rate" not in tree["sample_stats"]


def test_a_short_step_without_correction_is_nearly_right():
    """Independent spins are drawn each by itself; at a short step each is balanced to first order in its moves."""
    h = np.array([0.5, -0.2, 0.8])
    model = gm.energy(lambda s, h: -s @ h, s=gm.Spin(3), h=gm.data(h))
    kernel = gm.DiscreteLangevin(step_size=0.25, corrected=False)
    tree = gm.sample(model, kernel, chains=4, draws=8000, warmup=100, seed=4, progress=False)
    assert np.abs(tree["posterior"]["s"].values.mean((0, 1)) - np.tanh(h)).max() < 0.06


def test_settings_and_variables_that_cannot_be_are_refused():
    with pytest.raises(gm.SpecError, match="a step is above zero"):
        gm.DiscreteLangevin(step_size=0.0)
    with pytest.raises(gm.SpecError, match="n has infinitely many values"):
        gm.sample(gm.joint(n=dist.Poisson(3.0)), gm.DiscreteLangevin(), progress=False)
