import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import gmdsl as gm
from gmdsl.samplers.parallel_tempering import swap_chances, traded

SHARE = 0.75


def two_modes():
    """A quarter of the mass at -4 and the rest at 4, both with standard deviation 0.5; log Z is 1.3."""
    low, high = (lambda x, m=m: -0.5 * ((x - m) / 0.5) ** 2 for m in (-4.0, 4.0))
    shift = 1.3 - np.log(0.5 * np.sqrt(2.0 * np.pi))
    energy = gm.energy(lambda x: -jnp.logaddexp(jnp.log(0.25) + low(x), jnp.log(0.75) + high(x)) - shift, x=gm.Real())
    return gm.temper(energy, gm.joint(x=dist.Normal(0.0, 4.0)))


@pytest.fixture(scope="module")
def run():
    """All chains begin in the lesser mode."""
    sampler = gm.ParallelTempering(gm.MALA(), temperatures=5)
    return gm.sample(two_modes(), sampler, draws=2000, warmup=600, init={"x": -4.0}, progress=False)


def test_copies_carry_the_chains_to_both_modes_with_their_shares(run):
    high = run["posterior"]["x"].values > 0
    error = float(arviz_stats.mcse(high.astype(float), method="mean"))
    assert error < 0.02
    assert abs(high.mean() - SHARE) < 4.5 * error
    inside = run["posterior"]["x"].values[high]
    assert abs(inside.mean() - 4.0) < 0.05
    assert abs(inside.std() - 0.5) < 0.04


def test_the_tree_has_log_z_round_trips_and_a_ladder_of_equal_rejection(run):
    assert run.attrs["log_z_standard_error"] < 0.05
    assert abs(run.attrs["log_z"] - 1.3) < 4.5 * run.attrs["log_z_standard_error"]
    assert run.attrs["log_z_status"] == "ok"
    assert run.attrs["round_trips"] > 200
    rates = run["tempering"]["swap_rate"].values
    assert np.ptp(rates.mean(axis=0)) < 0.06  # at (k / 5)^3 they lie between 0.37 and 0.98
    np.testing.assert_allclose(run["tempering"]["barrier"].values[:, -1], (1.0 - rates).sum(axis=1), rtol=1e-12)
    assert (np.diff(run["tempering"]["betas"].values, axis=1) > 0).all()


def test_swap_rates_of_gaussians_are_those_of_the_closed_form():
    """Precisions 0.05, 0.2, 0.5 and 1; the closed form is an integral over a ratio of chi-squares."""
    path = gm.temper(gm.energy(lambda x: 0.5 * x**2, x=gm.Real()), gm.joint(x=dist.Normal(0.0, np.sqrt(20.0))))
    betas = tuple((precision - 0.05) / 0.95 for precision in (0.05, 0.2, 0.5, 1.0))
    sampler = gm.ParallelTempering(gm.HMC(steps=5), temperatures=betas, adapt_ladder=False)
    tree = gm.sample(path, sampler, chains=8, draws=3000, warmup=300, progress=False)
    rates = tree["sample_stats"]["swap_rate"].values
    for pair, exact in enumerate((0.590334470601733, 0.7180340719427523, 0.7836531040612145)):
        error = float(arviz_stats.mcse(rates[:, :, pair], method="mean"))
        assert error < 0.01
        assert abs(rates[:, :, pair].mean() - exact) < 4.5 * error


@pytest.mark.parametrize(
    "move", [gm.NUTS(), gm.Slice(), gm.RandomWalk(), gm.BarkerMH(), gm.HMC(metric=gm.adapt.DenseMetric())]
)
def test_any_kernel_moves_the_copies_each_rung_tuned_on_its_own(move):
    tree = gm.sample(two_modes(), gm.ParallelTempering(move, temperatures=4), draws=500, warmup=300, progress=False)
    assert abs(tree.attrs["log_z"] - 1.3) < 4.5 * tree.attrs["log_z_standard_error"] < 1.0
    steps = tree["tuned"].get("moves.step_size")
    assert steps is None or steps.values[:, 1].mean() > 1.5 * steps.values[:, -1].mean()  # the target is narrower


def test_vectors_with_constraints_have_their_moments_and_evidence():
    y = np.array([1.3, 0.2, 2.9])
    joint = gm.joint(rate=dist.Gamma(2.0, 1.0), y=lambda rate: dist.Exponential(rate).expand([3]))
    tree = gm.sample(joint.condition(y=y), gm.ParallelTempering(gm.HMC(steps=4), temperatures=3), progress=False)
    rate = tree["posterior"]["rate"].values
    error = float(arviz_stats.mcse(rate, method="mean"))
    assert abs(rate.mean() - 5.0 / (1.0 + y.sum())) < 4.5 * error < 0.2
    exact = np.log(24.0) - 5.0 * np.log(1.0 + y.sum())  # Gamma(5) / Gamma(2) / (1 + sum y)^5
    assert abs(tree.attrs["log_z"] - exact) < 4.5 * tree.attrs["log_z_standard_error"] < 0.2


def test_several_transitions_between_swaps_leave_the_same_law():
    sampler = gm.ParallelTempering(gm.MALA(), temperatures=4, steps=3)
    tree = gm.sample(two_modes(), sampler, draws=800, warmup=300, progress=False)
    assert abs(tree.attrs["log_z"] - 1.3) < 4.5 * tree.attrs["log_z_standard_error"] < 0.4


def test_discrete_copies_are_moved_by_gibbs():
    fields = np.array([0.4, -0.8, 0.1])
    energy = gm.energy(lambda s: -(s @ jnp.array([0.4, -0.8, 0.1]) + 1.5 * s[0] * s[1] - s[1] * s[2]), s=gm.Binary(3))
    states = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
    height = states @ fields + 1.5 * states[:, 0] * states[:, 1] - states[:, 1] * states[:, 2]
    path = gm.temper(energy, gm.joint(s=dist.Bernoulli(jnp.full(3, 0.5))))
    tree = gm.sample(path, gm.ParallelTempering(gm.Gibbs(), temperatures=2), draws=1500, warmup=100, progress=False)
    assert abs(tree.attrs["log_z"] - np.log(np.exp(height).sum())) < 4.5 * tree.attrs["log_z_standard_error"] < 0.2
    share = np.exp(height) / np.exp(height).sum()
    means = tree["posterior"]["s"].values.mean(axis=(0, 1))
    np.testing.assert_allclose(means, share @ states, atol=4.5 * 0.5 / np.sqrt(3000))


def test_a_stored_run_goes_on_to_the_bit(tmp_path):
    sampler = gm.ParallelTempering(gm.MALA(), temperatures=3)
    settings = {"chains": 2, "warmup": 60, "seed": 4, "progress": False}
    whole = gm.sample(two_modes(), sampler, draws=90, **settings)
    gm.sample(two_modes(), sampler, draws=30, store=tmp_path / "run.zarr", **settings)
    longer = gm.resume(tmp_path / "run.zarr", two_modes(), sampler, draws=90, progress=False)
    np.testing.assert_array_equal(longer["posterior"]["x"], whole["posterior"]["x"])
    np.testing.assert_array_equal(longer["sample_stats"]["swap_rate"], whole["sample_stats"]["swap_rate"])
    assert longer.attrs["log_z"] == whole.attrs["log_z"]


def test_swaps_keep_the_law_of_all_copies():
    """On two states and three rungs, the exact matrix of a turn of swaps leaves the product of the laws invariant."""
    from gmdsl.inference.interpolation import Geometric

    betas, ratio = jnp.array([0.0, 0.4, 1.0]), jnp.array([0.3, -1.1])
    laws = np.array([np.exp(b * np.asarray(ratio)) for b in betas])
    laws /= laws.sum(axis=1, keepdims=True)
    states = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
    weight = np.array([np.prod([laws[k, s] for k, s in enumerate(state)]) for state in states])
    for pair in (0, 1):
        matrix = np.zeros((8, 8))
        for i, state in enumerate(states):
            chance = float(swap_chances(Geometric(), betas, ratio[jnp.asarray(state)])[pair])
            other = state.copy()
            other[[pair, pair + 1]] = other[[pair + 1, pair]]
            matrix[i, i] += 1.0 - chance
            matrix[i, next(j for j, s in enumerate(states) if (s == other).all())] += chance
        np.testing.assert_allclose(weight @ matrix, weight, rtol=1e-6)


def test_even_and_odd_pairs_take_turns():
    sure = jnp.ones(4)
    assert traded(jax.random.key(0), sure, jnp.int32(0)).tolist() == [1, 0, 3, 2, 4]
    assert traded(jax.random.key(0), sure, jnp.int32(1)).tolist() == [0, 2, 1, 4, 3]
    assert traded(jax.random.key(0), jnp.zeros(4), jnp.int32(1)).tolist() == [0, 1, 2, 3, 4]


def test_too_few_rungs_are_suspect_and_what_does_not_fit_is_refused():
    path = gm.temper(gm.energy(lambda x: 50.0 * jnp.sum((x - 3.0) ** 2), x=gm.Real(8)),
                     gm.joint(x=dist.Normal(0.0, 1.0).expand([8]).to_event(1)))  # fmt: skip
    tree = gm.sample(path, gm.ParallelTempering(gm.MALA(), temperatures=1), draws=200, warmup=200, progress=False)
    assert tree.attrs["log_z_status"] != "ok"
    with pytest.raises(gm.SpecError, match="Take an exact kernel"):
        gm.ParallelTempering(gm.Langevin(0.1))
    with pytest.raises(gm.SpecError, match="number of rungs is fixed"):
        gm.ParallelTempering(gm.MALA(), temperatures=gm.adapt.EffectiveSize(0.9))
    with pytest.raises(gm.SpecError, match="a path is needed first"):
        gm.sample(gm.energy(lambda x: x**2, x=gm.Real()), gm.ParallelTempering(gm.MALA()))
    with pytest.raises(gm.SpecError, match="betas go up from 0 to 1"):
        gm.ParallelTempering(gm.MALA(), temperatures=(0.1, 1.0))
